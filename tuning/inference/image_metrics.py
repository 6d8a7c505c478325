"""PSNR and SSIM of a colorized picture against the original."""

from __future__ import annotations

import cv2
import numpy as np

from data_prep import rgb_to_lab
from tuning.inference.predict import Bytes, Floats, chroma_planes
from tuning.training.metrics import psnr
from tuning.training.ssim import WINDOW, ssim

SCORES = ("psnr", "ssim", "psnr_rgb", "ssim_rgb")


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
    if min(rgb.shape[:2]) >= WINDOW:
        channels = zip(cv2.split(original), cv2.split(rgb), strict=True)
        for name, planes in (("ssim", pairs), ("ssim_rgb", channels)):
            each = [ssim(made, known, data_range=255) for known, made in planes]
            scores[name] = float(np.mean(each))
    return scores


def _mse(true: Bytes, made: Bytes) -> float:
    """Mean squared difference of values in [0, 1]."""
    difference = true.astype(np.int16) - made
    return float(np.mean(np.square(difference, dtype=np.float32), dtype=np.float64)) / 255**2
