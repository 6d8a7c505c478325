"""PSNR and SSIM of a colorized picture against the original."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from data_prep import rgb_to_lab
from tuning.inference.predict import Bytes, Floats, chroma_planes
from tuning.training.metrics import psnr

SCORES = ("psnr", "ssim", "psnr_rgb", "ssim_rgb")
# The constants of SSIM for values in [0, 1].
_WINDOW = 7
_UNBIASED = _WINDOW**2 / (_WINDOW**2 - 1)
_C1, _C2 = 0.01**2, 0.03**2


def compare(rgb: Bytes, ab: Floats, original: Bytes) -> dict[str, float]:
    """Measure a colorized picture against the original (both H, W, 3) at the picture's own size.

    `psnr` and `ssim` are those of the tables: over the a and b planes in [0, 1], here the
    predicted ones as 8-bit Lab. `psnr_rgb` and `ssim_rgb` compare the RGB pictures. Pictures
    under 7 px a side have no SSIM, because its window does not fit.
    """
    true = rgb_to_lab(original)
    pairs = list(zip((true[..., 1], true[..., 2]), chroma_planes(ab, *true.shape[:2]), strict=True))
    scores = {
        "psnr": psnr(float(np.mean([_mse(*pair) for pair in pairs]))),
        "psnr_rgb": psnr(_mse(original, rgb)),
    }
    if min(rgb.shape[:2]) >= _WINDOW:
        channels = zip(cv2.split(original), cv2.split(rgb), strict=True)
        scores["ssim"] = float(np.mean([_ssim(*pair) for pair in pairs]))
        scores["ssim_rgb"] = float(np.mean([_ssim(*pair) for pair in channels]))
    return scores


def _ssim(true: Bytes, made: Bytes) -> float:
    """The SSIM of scikit-image, 20 times faster: 0.55 s instead of 11.5 s for 12 megapixels.

    Means, variances and the covariance are taken in windows of 7x7 px that lie wholly inside.
    """
    x, y = (plane.astype(np.float32) / np.float32(255) for plane in (true, made))
    mean_x, mean_y = _windowed(x), _windowed(y)
    product = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    covariance = (_windowed(x * y) - product) * _UNBIASED
    variances = (_windowed(x**2 + y**2) - squares) * _UNBIASED
    similarity = (2 * product + _C1) * (2 * covariance + _C2)
    similarity /= (squares + _C1) * (variances + _C2)
    edge = _WINDOW // 2
    return float(similarity[edge:-edge, edge:-edge].mean(dtype=np.float64))


def _windowed(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.blur(plane, (_WINDOW, _WINDOW)))


def _mse(true: Bytes, made: Bytes) -> float:
    """Mean squared difference of values in [0, 1]."""
    difference = true.astype(np.int16) - made
    return float(np.mean(np.square(difference, dtype=np.float32), dtype=np.float64)) / 255**2
