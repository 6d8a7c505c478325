"""The MLflow model: the script that is stored beside the weights and runs where they are served.

It may import `models`, which is stored with it under a name of its own, but nothing else of this
project: the process that loads it need not have the project installed, only MLflow, torch and what
these bring. Without OpenCV, colours may differ by a few levels of 255 from those with it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.pyfunc import PythonModel
from numpy.typing import NDArray

from models import ChromaModel, load_model

cv2: Any = None
with contextlib.suppress(ImportError):
    import cv2

_OUTPUTS = ("rgb", "lab")
_BATCH = 64
_WHITE = np.array([0.950456, 1, 1.088754])
_XYZ_TO_RGB = np.array(
    [
        [3.240479, -1.53715, -0.498535],
        [-0.969256, 1.875991, 0.041556],
        [0.055648, -0.204043, 1.057311],
    ]
)


class ServingModel(PythonModel):
    """Predict the colours of grayscale pictures.

    Input: L planes of OpenCV 8-bit Lab, (N, H, W), 0 to 255, of any height and width. A regressor
    returns float32 (N, 2), each picture's mean a* and b* in Lab units. A colorizer returns uint8
    (N, H, W, 3): RGB, or 8-bit Lab with params={"output": "lab"}; its L is the input's own.
    """

    def load_context(self, context: Any) -> None:
        """Build the network from the one safetensors file; nothing is unpickled.

        Whoever loads this class has run code of the model already: that of the network runs too.
        """
        self._model: ChromaModel = load_model(Path(context.artifacts["weights"]), trust_code=True)
        self._model.eval()

    # MLflow reads these hints and only knows the bare array type.
    def predict(
        self,
        context: Any,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> np.ndarray:
        """Predict for each picture; ValueError if the input is not a stack of L planes."""
        del context
        L = _as_planes(model_input)
        if self._model.task == "regression":
            return self._run(L) * 255 - 128
        output = (params or {}).get("output", "rgb")
        if output not in _OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(_OUTPUTS)}, but got '{output}'")
        lab = np.stack([_join(plane, ab) for plane, ab in zip(L, self._run(L), strict=True)])
        if output == "lab":
            return lab
        return np.stack([_to_rgb(picture) for picture in lab])

    def _run(self, L: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = int(self._model.spec["image_size"])
        resized = np.stack([_resize(plane, size, size) for plane in L])
        L01 = torch.from_numpy(resized).unsqueeze(1)
        with torch.inference_mode():
            parts = [
                self._model(L01[start : start + _BATCH].float() / 255)
                for start in range(0, len(L01), _BATCH)
            ]
        predicted: NDArray[np.float32] = torch.cat(parts).float().numpy()
        return predicted


def _as_planes(model_input: NDArray[Any]) -> NDArray[np.uint8]:
    planes = np.asarray(model_input)
    if planes.ndim != 3 or 0 in planes.shape:
        raise ValueError(f"expected L planes of shape (N, H, W), but got shape {planes.shape}")
    if planes.dtype != np.uint8:
        if not np.isfinite(planes).all() or planes.min() < 0 or planes.max() > 255:
            raise ValueError(
                f"L planes must lie in 0 to 255, but reach from {planes.min()} to {planes.max()}"
            )
        planes = np.rint(planes).astype(np.uint8)
    return planes


def _resize(plane: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if plane.shape == (height, width):
        return plane
    resized: NDArray[Any]
    shrinks = plane.shape[0] * plane.shape[1] > height * width
    if cv2 is not None:
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(plane, (width, height), interpolation=method)
        return resized
    is_area = shrinks and plane.shape[0] >= height and plane.shape[1] >= width
    rows, columns = (
        _shares(source, target) if is_area else _weights(source, target, shrinks)
        for source, target in zip(plane.shape, (height, width), strict=True)
    )
    resized = rows @ plane.astype(float) @ columns.T
    return (np.rint(resized) if plane.dtype == np.uint8 else resized).astype(plane.dtype)


def _shares(source: int, target: int) -> NDArray[np.float64]:
    """INTER_AREA: how much each pixel of a row counts in each of fewer, (target, source)."""
    scale, pixels = source / target, np.arange(source)
    starts = np.arange(target)[:, None] * scale
    overlap = np.minimum(starts + scale, pixels + 1) - np.maximum(starts, pixels)
    return np.asarray(overlap.clip(0) / scale)


def _weights(source: int, target: int, shrinks: bool) -> NDArray[np.float64]:
    """INTER_LINEAR; with `shrinks`, what INTER_AREA is where only one of two sides shrinks."""
    scale, pixels = source / target, np.arange(target)[:, None]
    at = (pixels + 0.5) * scale - 0.5
    if shrinks:
        left = np.floor(pixels * scale)
        part = pixels + 1 - (left + 1) / scale
        at = left + np.where(part > 0, part - np.floor(part), 0)
    return np.asarray((1 - abs(at.clip(0, source - 1) - np.arange(source))).clip(0))


def _to_rgb(lab: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert OpenCV's 8-bit Lab (H, W, 3) to RGB: white D65, sRGB."""
    if cv2 is not None:
        return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
    L, a, b = np.moveaxis(lab.astype(float), -1, 0)
    y = (L * 100 / 255 + 16) / 116
    ratios = np.stack([y + (a - 128) / 500, y, y - (b - 128) / 200], axis=-1)
    low = (ratios - 4 / 29) * 3 * (6 / 29) ** 2
    xyz = np.where(ratios > 6 / 29, ratios**3, low) * _WHITE
    linear = (xyz @ _XYZ_TO_RGB.T).clip(0, 1)
    rgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    rounded: NDArray[np.uint8] = np.rint(rgb * 255).astype(np.uint8)
    return rounded


def _join(L: NDArray[np.uint8], ab: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Put predicted a and b (2, h, w) in [0, 1] behind L (H, W), at L's own size."""
    planes = [np.rint(_resize(plane, *L.shape) * 255).clip(0, 255).astype(np.uint8) for plane in ab]
    return np.stack([L, *planes], axis=-1)


mlflow.models.set_model(ServingModel())
