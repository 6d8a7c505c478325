"""How near a colorized picture comes to the original."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from data_prep import rgb_to_lab
from tuning.colorize import Bytes, Floats, chroma_planes
from tuning.metrics import psnr

SCORES = ("psnr", "ssim", "psnr_rgb", "ssim_rgb")
_SSIM_WINDOW = 7


def compare(rgb: Bytes, ab: Floats, original: Bytes) -> dict[str, float]:
    """Measure a colorized picture against the original (both H, W, 3) at the picture's own size.

    `psnr` and `ssim` are those of the tables: over the a and b planes in [0, 1], here the
    predicted ones as 8-bit Lab. `psnr_rgb` and `ssim_rgb` compare the RGB pictures. SSIM is left
    out of a picture under 7 px a side, where its window does not fit.
    """
    true = rgb_to_lab(original)
    pairs = list(zip((true[..., 1], true[..., 2]), chroma_planes(ab, *true.shape[:2]), strict=True))
    scores = {
        "psnr": psnr(float(np.mean([_mse(*pair) for pair in pairs]))),
        "psnr_rgb": psnr(_mse(original, rgb)),
    }
    if min(rgb.shape[:2]) >= _SSIM_WINDOW:
        ssim = [structural_similarity(_unit(t), _unit(p), data_range=1.0) for t, p in pairs]
        scores["ssim"] = float(np.mean(ssim))
        scores["ssim_rgb"] = float(
            structural_similarity(_unit(original), _unit(rgb), channel_axis=-1, data_range=1.0)
        )
    return scores


def _unit(levels: Bytes) -> npt.NDArray[np.float32]:
    return levels.astype(np.float32) / np.float32(255)


def _mse(true: Bytes, made: Bytes) -> float:
    """Mean squared difference of values in [0, 1]."""
    difference = true.astype(np.int16) - made
    return float(np.mean(np.square(difference, dtype=np.float32), dtype=np.float64)) / 255**2
