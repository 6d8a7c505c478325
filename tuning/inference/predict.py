"""Predict the colours of L planes and paint them; knows neither files nor the registry."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from data_prep import lab_to_rgb, rgb_to_lab
from models import ChromaModel
from tuning.errors import ChromatuneError
from tuning.training.metrics import NonFinitePredictionError, to_bytes

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_NEUTRAL = 128  # a and b of gray
# Rounding Lab and RGB to 8 bits alone can move L by one level.
_TOLERANCE = 1
# Chroma spans at most 181 levels: after eight halvings the share is found to one of them.
_HALVINGS = 8


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Prediction for one picture, chrominance in [0, 1].

    `ab` holds the a and b planes (2, size, size) at the colorizer's size. `regressed_ab` is the
    mean a and b by the regressor, None without one.
    """

    ab: Floats
    regressed_ab: tuple[float, float] | None

    @property
    def own_mean_ab(self) -> tuple[float, float]:
        """Mean a and b of the colorizer's own planes."""
        mean_a, mean_b = self.ab.mean(axis=(1, 2), dtype=np.float64)
        return float(mean_a), float(mean_b)

    @property
    def mean_ab(self) -> tuple[float, float]:
        """Mean a and b by the regressor, else the colorizer's own."""
        return self.own_mean_ab if self.regressed_ab is None else self.regressed_ab


class Colorizer:
    """A colorizer, and the regressor of the same dataset if there is one, on one device.

    Thread-safe. ChromatuneError if a network is of the wrong task.
    """

    def __init__(
        self, colorizer: ChromaModel, regressor: ChromaModel | None = None, device: str = "cpu"
    ) -> None:
        for network, task in ((colorizer, "colorizer"), (regressor, "regression")):
            if network is not None and network.task != task:
                raise ChromatuneError(
                    f"a {task} model is needed, but {network.spec['name']} is for {network.task}"
                )
        self._device = torch.device(device)
        self._colorizer = colorizer.to(self._device).eval()
        self._regressor = None if regressor is None else regressor.to(self._device).eval()

    @property
    def has_regressor(self) -> bool:
        return self._regressor is not None

    def predict(self, plane: Bytes) -> Prediction:
        """Predict for an L plane, 8-bit Lab uint8 (H, W) of any size, on the device.

        Raises NonFinitePredictionError if a network predicts NaN or infinity.
        """
        ab = predict_plane(self._colorizer, plane, self._device)
        if self._regressor is None:
            return Prediction(ab, None)
        mean_a, mean_b = predict_plane(self._regressor, plane, self._device)
        return Prediction(ab, (float(mean_a), float(mean_b)))


def predict_plane(network: ChromaModel, plane: Bytes, device: torch.device | str) -> Floats:
    """Run a network in evaluation mode, which is on `device`, on one L plane, uint8 (H, W).

    Returns planes (2, size, size), of a regressor means (2,), in [0, 1]. Raises
    NonFinitePredictionError if it predicts NaN or infinity.
    """
    size = int(network.spec["image_size"])
    L = torch.from_numpy(_resized(plane, size, size)).to(device)
    with torch.inference_mode():
        predicted = network(L[None, None].float() / 255)[0].float().cpu()
    if not bool(torch.isfinite(predicted).all()):
        raise NonFinitePredictionError("the model predicts NaN or infinity")
    array: Floats = predicted.numpy()
    return array


def chroma_planes(ab: Floats, height: int, width: int) -> tuple[Bytes, Bytes]:
    """Bring predicted planes (2, h, w) in [0, 1] to a picture's size, as 8-bit Lab uint8 (H, W)."""
    a, b = (to_bytes(_resized(plane, height, width)) for plane in ab)
    return a, b


def paint(L: Bytes, ab: Floats) -> Bytes:
    """Give the plane L (H, W) the predicted colours; sRGB uint8 (H, W, 3) at L's own size.

    L is kept: converted back, the picture has it to within one level of 8-bit Lab. Where a colour
    of that lightness lies outside sRGB, it is made paler until it fits, rather than darker or
    lighter, at the same hue.
    """
    a, b = chroma_planes(ab, *L.shape)
    rgb = lab_to_rgb(L, a, b)
    lost = _off(L, rgb)
    if lost.any():
        # There are far fewer such colours than such pixels.
        packed = L[lost].astype(np.uint32) << 16 | a[lost].astype(np.uint32) << 8 | b[lost]
        colours, places = np.unique(packed, return_inverse=True)
        rgb[lost] = _paler(colours >> 16, colours >> 8 & 255, colours & 255)[places]
    return rgb


def gray_picture(L: Bytes) -> Bytes:
    """Show a plane L (H, W) without colour, as sRGB uint8 (H, W, 3)."""
    levels = np.arange(256, dtype=np.uint8)[None]
    neutral = np.full_like(levels, _NEUTRAL)
    return np.asarray(lab_to_rgb(levels, neutral, neutral)[0, L])


def _paler(L: npt.NDArray[Any], a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Bytes:
    """Reduce the chroma of colours (N,), 8-bit Lab, as little as keeps their L; sRGB (N, 3)."""
    column = L.astype(np.uint8)[:, None]
    chroma = np.stack([a, b]).astype(np.float32)[..., None] - _NEUTRAL
    fits, fails = np.zeros(column.shape, np.float32), np.ones(column.shape, np.float32)
    rgb = lab_to_rgb(column, *(np.full_like(column, _NEUTRAL) for _ in "ab"))
    for _ in range(_HALVINGS):
        share = (fits + fails) / 2
        tried = lab_to_rgb(column, *np.rint(_NEUTRAL + chroma * share).astype(np.uint8))
        off = _off(column, tried)
        fits, fails = np.where(off, fits, share), np.where(off, share, fails)
        rgb = np.where(off[..., None], rgb, tried)
    return rgb[:, 0]


def _off(L: Bytes, rgb: Bytes) -> npt.NDArray[np.bool_]:
    """Mask of pixels (H, W) where a picture (H, W, 3) has another lightness than L (H, W)."""
    return np.asarray(np.abs(rgb_to_lab(rgb)[..., 0].astype(np.int16) - L) > _TOLERANCE)


def _resized(plane: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """Average areas to shrink, interpolate to enlarge, as the registered MLflow model does."""
    if plane.shape == (height, width):
        return plane
    shrinks = plane.size > height * width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=method))
