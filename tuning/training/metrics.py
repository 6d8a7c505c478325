"""All metrics: of a model, of the constant predictor, and as in the original paper.

Chrominance is in [0, 1] everywhere here. Names carry the split as a prefix, `val_` or `test_`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skimage.metrics import structural_similarity
from torch import nn
from torch.func import functional_call

from data_prep import lab_to_rgb
from models import ChromaModel
from tuning.errors import ChromatuneError
from tuning.training.color_metrics import ciede2000, colorfulness
from tuning.training.data import DeviceSplit, Split
from tuning.training.tasks import CRITERIA, METRICS

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

# PSNR of a perfect prediction is infinite, which JSON and MLflow's plots cannot hold. No 8-bit
# picture of this size that differs at all comes near 100 dB.
MAX_PSNR = 100.0
_SSIM_WINDOW = 7
# Larger splits are measured a part at a time. As one batch, which the original paper's metrics ask
# for, they would take memory in proportion, and those are of 75 pictures: they are left out.
MOST_AS_REPORTED = 1000


class NonFinitePredictionError(ChromatuneError):
    """A model predicts NaN or infinity."""


def evaluate(
    model: ChromaModel,
    split: Split,
    task: str,
    *,
    prefix: str = "val_",
    device: str | torch.device = "cpu",
    batch_size: int = 100,
) -> dict[str, float]:
    """Measure `model` on `split` with BatchNorm in evaluation mode.

    A regressor gets `mse`, `mse_a`, `mse_b` and the root of the latter in units of Lab as
    `rmse_lab_a`, `rmse_lab_b`; a colorizer what `colorizer_metrics` and, of at most 1000 pictures,
    `reported_metrics` return; both what is registered for the task. Neither the model, its
    BatchNorm statistics nor any random generator is changed. Raises NonFinitePredictionError if the
    model predicts NaN or infinity.
    """
    on_device = DeviceSplit(split, "means", torch.device(device))  # only its pictures are needed
    if not CRITERIA[task].predicts_planes:
        return _named(prefix, _regressor_metrics(predict(model, on_device, batch_size), split))
    if len(split) > MOST_AS_REPORTED:
        parts = (
            _part_metrics(predict(model, on_device, batch_size, rows), split.part(rows))
            for rows in _parts(split)
        )
        return _named(prefix, _colorizer_metrics(list(parts)))
    predicted = predict(model, on_device, batch_size)
    # One picture has no statistics of its own to normalize by.
    reported = predict_as_reported(model, on_device) if len(split) > 1 else predicted
    return _named(prefix, colorizer_metrics(predicted, split) | reported_metrics(reported, split))


def constant_baseline(
    split: Split, baseline_ab: tuple[float, float], task: str, prefix: str = "val_"
) -> dict[str, float]:
    """Measure always predicting the chrominance `baseline_ab`, under the names of `evaluate`."""
    constant = np.asarray(baseline_ab, dtype=np.float32)
    if not CRITERIA[task].predicts_planes:
        return _named(prefix, _regressor_metrics(np.tile(constant, (len(split), 1)), split))
    planes = constant[:, None, None]
    if len(split) > MOST_AS_REPORTED:
        parts = (
            _part_metrics(np.broadcast_to(planes, (len(part), 2, *part.L.shape[1:])), part)
            for part in map(split.part, _parts(split))
        )
        return _named(prefix, _colorizer_metrics(list(parts)))
    predicted = np.broadcast_to(planes, (len(split), 2, *split.L.shape[1:]))
    return _named(prefix, colorizer_metrics(predicted, split) | reported_metrics(predicted, split))


def predict(
    model: ChromaModel, split: DeviceSplit, batch_size: int = 100, rows: range | None = None
) -> Floats:
    """Predict chrominance in [0, 1] for every picture with BatchNorm in evaluation mode.

    With `rows`, of these alone.
    """
    wanted = range(len(split)) if rows is None else rows
    with _evaluating(model):
        batches = [
            model(split.pictures(slice(start, min(start + batch_size, wanted.stop)))).cpu()
            for start in range(wanted.start, wanted.stop, batch_size)
        ]
    return _finite(torch.cat(batches))


def predict_as_reported(model: ChromaModel, split: DeviceSplit) -> Floats:
    """Predict with BatchNorm in training mode and the whole split as one batch.

    That is how the published colorizer numbers were taken: they depend on the split's own
    statistics. The model's running statistics stay as they are.
    """
    # Training mode updates the running statistics in place: give it copies to update.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with _evaluating(model):
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.train()  # and nothing else: dropout would draw from the global generator
        predicted = functional_call(model, buffers, (split.pictures(slice(None)),)).cpu()
    return _finite(predicted)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def _regressor_metrics(predicted: Floats, split: Split) -> dict[str, float]:
    own = _registered("regression", predicted, split.mean_ab)
    return regression_metrics(predicted, split) | own


def regression_metrics(predicted: Floats, split: Split) -> dict[str, float]:
    """Return MSE of predicted means (N, 2), and its root per channel in units of Lab (0 to 255)."""
    squared = np.square(predicted.astype(np.float64) - split.mean_ab)
    mse_a, mse_b = (float(mse) for mse in squared.mean(axis=0))
    return {
        "mse": float(squared.mean()),
        "mse_a": mse_a,
        "mse_b": mse_b,
        "rmse_lab_a": math.sqrt(mse_a) * 255,
        "rmse_lab_b": math.sqrt(mse_b) * 255,
    }


def colorizer_metrics(predicted: Floats, split: Split) -> dict[str, float]:
    """Return MSE, PSNR and SSIM of predicted planes (N, 2, H, W), pooled and per channel.

    PSNR comes from the MSE pooled over the set. SSIM is scikit-image's per picture and channel,
    with data range 1, then the mean. `ciede2000` is the mean color difference over all pixels.
    `psnr_rgb` and `ssim_rgb` compare the 8-bit RGB pictures that the predicted and the true
    chrominance make with the true L. `colorfulness` is the mean over the predicted pictures,
    `colorfulness_difference` the mean distance from that of the true ones. Metrics that are
    registered are added.
    """
    return _colorizer_metrics([_part_metrics(predicted, split)])


@dataclasses.dataclass(frozen=True)
class _Part:
    """Means over some of the pictures: MSE and SSIM by channel, and of the RGB pictures.

    `others` are metrics that are means themselves, by name.
    """

    count: int
    mse: tuple[float, float]
    ssim: tuple[float, float]
    rgb: tuple[float, float]
    others: dict[str, float]


def _part_metrics(predicted: Floats, split: Split) -> _Part:
    true = _true_planes(split)
    mse = (_mse(predicted[:, 0], true[:, 0]), _mse(predicted[:, 1], true[:, 1]))
    ssim = (_mean_ssim(predicted[:, 0], true[:, 0]), _mean_ssim(predicted[:, 1], true[:, 1]))
    painted, known = _rgb(predicted, split)
    colors = [(colorfulness(x), colorfulness(y)) for x, y in zip(painted, known, strict=True)]
    others = {
        "ciede2000": ciede2000(predicted, true),
        "colorfulness": float(np.mean([made for made, _ in colors])),
        "colorfulness_difference": float(np.mean([abs(made - own) for made, own in colors])),
        **_registered("colorizer", painted, known),
    }
    return _Part(len(split), mse, ssim, _rgb_metrics(painted, known), others)


def _colorizer_metrics(parts: Sequence[_Part]) -> dict[str, float]:
    """Pool the means of all parts by their numbers of pictures."""
    weights = [part.count for part in parts]

    def pooled(name: str) -> list[float]:
        values = [getattr(part, name) for part in parts]
        if len(parts) == 1:
            return list(values[0])
        return list(np.average(values, axis=0, weights=weights))

    others = {
        name: float(np.average([part.others[name] for part in parts], weights=weights))
        for name in parts[0].others
    }
    mse, (rgb_mse, rgb_ssim) = _pooled(pooled("mse")), map(float, pooled("rgb"))
    return {
        **_by_channel("mse", map(float, mse)),
        **_by_channel("psnr", map(psnr, mse)),
        **_by_channel("ssim", map(float, _pooled(pooled("ssim")))),
        "psnr_rgb": psnr(rgb_mse),
        "ssim_rgb": rgb_ssim,
        **others,
    }


def _parts(split: Split) -> Iterator[range]:
    for start in range(0, len(split), MOST_AS_REPORTED):
        yield range(start, min(start + MOST_AS_REPORTED, len(split)))


def reported_metrics(predicted: Floats, split: Split) -> dict[str, float]:
    """Return PSNR and SSIM as in the original paper, of planes (N, 2, H, W) from its BatchNorm.

    Its SSIM takes the pictures of a channel for one volume (N, H, W) and the data range for 2,
    scikit-image's default for floats. It is left out below 7 pictures, where the window of the
    SSIM does not fit. These values cannot be compared with the usual ones.
    """
    true = _true_planes(split)
    mse = _pooled([_mse(predicted[:, channel], true[:, channel]) for channel in range(2)])
    metrics = _by_channel("psnr", map(psnr, mse), "_as_reported")
    if len(split) < _SSIM_WINDOW:
        return metrics
    ssim = [
        float(structural_similarity(true[:, channel], predicted[:, channel], data_range=2.0))
        for channel in range(2)
    ]
    return metrics | _by_channel("ssim", _pooled(ssim), "_as_reported")


def psnr(mse: float) -> float:
    """Return the PSNR in dB of an MSE between values in [0, 1], at most 100 (`MAX_PSNR`)."""
    return min(MAX_PSNR, -10 * math.log10(mse)) if mse > 0 else MAX_PSNR


def to_bytes(unit: Floats) -> Bytes:
    """Round values in [0, 1] to uint8."""
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def _named(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in metrics.items()}


def _pooled(each: Sequence[float]) -> list[float]:
    """Return the mean over both channels, then the channels' own values."""
    return [float(np.mean(each)), *each]


def _by_channel(name: str, values: Iterable[float], suffix: str = "") -> dict[str, float]:
    pairs = zip(("", "_a", "_b"), values, strict=True)
    return {f"{name}{channel}{suffix}": value for channel, value in pairs}


def _registered(task: str, predicted: Any, true: Any) -> dict[str, float]:
    """Return the metrics of `register_metric`; ChromatuneError if one is no finite number."""
    metrics = {}
    for name, metric in METRICS.items():
        if metric.task != task:
            continue
        value: Any = metric.function(predicted.copy(), true.copy())  # which it may change
        try:
            metrics[name] = float(value)
        except (TypeError, ValueError, RuntimeError):
            metrics[name] = math.nan
        if not math.isfinite(metrics[name]):
            raise ChromatuneError(f"the metric '{name}' must be a finite number, but is {value!r}")
    return metrics


def _rgb(predicted: Floats, split: Split) -> tuple[Bytes, Bytes]:
    """The pictures (N, H, W, 3) that predicted planes make with the true L, and the true ones."""
    made = to_bytes(predicted)
    planes = (
        zip(split.L, made[:, 0], made[:, 1], strict=True),
        zip(split.L, *split.planes, strict=True),
    )
    painted, known = (np.stack([lab_to_rgb(*each) for each in pictures]) for pictures in planes)
    return painted, known


def _rgb_metrics(predicted: Bytes, true: Bytes) -> tuple[float, float]:
    """Return the mean MSE, of values in [0, 1], and the mean SSIM."""
    mses, ssims = [], []
    for made, known in zip(predicted, true, strict=True):
        mses.append(float(np.mean(np.square(made.astype(np.float64) - known))) / 255**2)
        ssims.append(structural_similarity(known, made, channel_axis=-1, data_range=255))
    return float(np.mean(mses)), float(np.mean(ssims))


def _true_planes(split: Split) -> Floats:
    return np.stack(split.planes, axis=1).astype(np.float32) / np.float32(255)


def _mse(predicted: Floats, true: Floats) -> float:
    return float(np.mean(np.square(predicted.astype(np.float64) - true)))


def _mean_ssim(predicted: Floats, true: Floats) -> float:
    pairs = zip(true, predicted, strict=True)
    return float(np.mean([structural_similarity(t, p, data_range=1.0) for t, p in pairs]))


def _finite(predicted: torch.Tensor) -> Floats:
    if not bool(torch.isfinite(predicted).all()):
        raise NonFinitePredictionError("the model predicts NaN or infinity")
    array: Floats = predicted.numpy()
    return array
