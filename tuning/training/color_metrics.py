"""CIEDE2000 and colorfulness: color as people see it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_25_7 = 25.0**7


def ciede2000(predicted: npt.NDArray[np.float32], true: npt.NDArray[np.float32]) -> float:
    """Return the mean CIEDE2000 color difference of planes (N, 2, H, W) in [0, 1].

    Both pictures of a pair have the true L, so that the difference of lightness and its weight
    drop out. Sharma, Wu and Dalal: The CIEDE2000 color-difference formula, 2005.
    """
    pairs = zip(predicted, true, strict=True)
    with torch.inference_mode():
        means = [_difference(_star(made), _star(known)).mean().item() for made, known in pairs]
    return float(np.mean(means))


def colorfulness(rgb: npt.NDArray[np.uint8]) -> float:
    """Return M3 of a picture (H, W, 3): Hasler and Süsstrunk, Measuring colorfulness, 2003.

    It is 0 for gray; 15 is slightly, 45 averagely, 82 highly colorful.
    """
    red, green, blue = np.moveaxis(rgb.astype(np.float32), -1, 0)
    opponents = (red - green, (red + green) / 2 - blue)
    spread = math.hypot(*(float(plane.std(dtype=np.float64)) for plane in opponents))
    mean = math.hypot(*(float(plane.mean(dtype=np.float64)) for plane in opponents))
    return spread + 0.3 * mean


def _star(planes: npt.NDArray[np.float32]) -> Tensor:
    """Planes in [0, 1] as a* and b*."""
    return torch.from_numpy(np.ascontiguousarray(planes)) * 255 - 128


def _difference(first: Tensor, second: Tensor) -> Tensor:
    """The color difference of each pixel of two pairs (2, H, W) of a* and b*, at equal L*."""
    (a1, b1), (a2, b2) = first, second
    mean = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * _share(mean)
    a1, a2 = a1 * stretch, a2 * stretch
    chroma1, chroma2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    hue1, hue2 = torch.atan2(b1, a1), torch.atan2(b2, a2)
    # Between -pi and pi; the hue of gray is that of the other color.
    turn = torch.remainder(hue2 - hue1 + math.pi, 2 * math.pi) - math.pi
    is_gray = (chroma1 == 0) | (chroma2 == 0)
    hue = torch.where(is_gray, hue1 + hue2, hue1 + turn / 2)
    chroma = (chroma1 + chroma2) / 2
    weight = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    by_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    by_hue = 2 * torch.sqrt(chroma1 * chroma2) * torch.sin(turn / 2)
    by_hue = by_hue / (1 + 0.015 * chroma * weight)
    from_blue = torch.remainder(torch.rad2deg(hue), 360) - 275
    angle = math.radians(60) * torch.exp(-torch.square(from_blue / 25))
    rotation = -2 * torch.sin(angle) * _share(chroma)
    squared = by_chroma**2 + by_hue**2 + rotation * by_chroma * by_hue
    return torch.sqrt(squared.clamp(min=0))


def _share(chroma: Tensor) -> Tensor:
    squared = chroma * chroma
    power = squared * squared * squared * chroma  # a quarter of the time of `chroma**7`
    return torch.sqrt(power / (power + _25_7))
