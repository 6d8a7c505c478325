"""All metrics: of a model, of the constant predictor, and as in the original paper.

Chrominance is in [0, 1] everywhere here. Names carry the split as a prefix, `val_` or `test_`.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.func import functional_call

from data_prep import lab_to_rgb
from models import ChromaModel
from tuning.errors import ChromatuneError
from tuning.training.color_metrics import ciede2000, colorfulness
from tuning.training.data import DeviceSplit, Split
from tuning.training.ssim import WINDOW, ssim
from tuning.training.tasks import CRITERIA, METRICS, metric_names

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

# PSNR of a perfect prediction is infinite, which JSON and MLflow's plots cannot hold. No 8-bit
# picture of this size that differs at all comes near 100 dB.
MAX_PSNR = 100.0
# Larger splits are measured a part at a time. As one batch, which the original paper's metrics ask
# for, they would take memory in proportion, and those are of 75 pictures: they are left out.
MOST_AS_REPORTED = 1000
_OF_RGB = ("psnr_rgb", "ssim_rgb", "colorfulness", "colorfulness_difference")


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
    names: Collection[str] | None = None,
) -> dict[str, float]:
    """Measure `model` on `split` with BatchNorm in evaluation mode.

    A regressor gets `mse`, `mse_a`, `mse_b` and the root of the latter in units of Lab as
    `rmse_lab_a`, `rmse_lab_b`; a colorizer what `colorizer_metrics` and, of at most 1000 pictures,
    `reported_metrics` return; both what is registered for the task. With `names`, without prefix,
    only these are measured, and what costs next to nothing: MSE, its roots and PSNR. Neither the
    model, its BatchNorm statistics nor any random generator is changed. Raises
    NonFinitePredictionError if the model predicts NaN or infinity.
    """
    on_device = DeviceSplit(split, "means", torch.device(device))  # only its pictures are needed
    wanted = _wanted(task, names)
    if not CRITERIA[task].predicts_planes:
        predicted = predict(model, on_device, batch_size)
        return _named(prefix, _regressor_metrics(predicted, split, wanted))
    if len(split) > MOST_AS_REPORTED:
        parts = (
            (
                len(rows),
                _means(predict(model, on_device, batch_size, rows), split.part(rows), wanted),
            )
            for rows in _parts(split)
        )
        return _named(prefix, _colorizer_metrics(list(parts)))
    predicted = predict(model, on_device, batch_size)
    metrics = _colorizer_metrics([(len(split), _means(predicted, split, wanted))])
    if any(name.endswith("_as_reported") for name in wanted):
        # One picture has no statistics of its own to normalize by.
        reported = predict_as_reported(model, on_device) if len(split) > 1 else predicted
        metrics |= reported_metrics(reported, split)
    return _named(prefix, metrics)


def constant_baseline(
    split: Split, baseline_ab: tuple[float, float], task: str, prefix: str = "val_"
) -> dict[str, float]:
    """Measure always predicting the chrominance `baseline_ab`, under the names of `evaluate`."""
    constant = np.asarray(baseline_ab, dtype=np.float32)
    wanted = _wanted(task, None)
    if not CRITERIA[task].predicts_planes:
        tiled = np.tile(constant, (len(split), 1))
        return _named(prefix, _regressor_metrics(tiled, split, wanted))

    def planes(count: int) -> Floats:
        return np.broadcast_to(constant[:, None, None], (count, 2, *split.L.shape[1:]))

    parts = [
        (len(rows), _means(planes(len(rows)), split.part(rows), wanted)) for rows in _parts(split)
    ]
    metrics = _colorizer_metrics(parts)
    if len(split) <= MOST_AS_REPORTED:
        metrics |= reported_metrics(planes(len(split)), split)
    return _named(prefix, metrics)


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


def picture_mse(
    model: ChromaModel, split: Split, task: str, device: str | torch.device = "cpu"
) -> npt.NDArray[np.float64]:
    """Return the MSE of each picture; the mean of them is the metric `mse`."""
    on_device = DeviceSplit(split, "means", torch.device(device))
    found = []
    for rows in _parts(split):
        part = split.part(rows)
        true = _true_planes(part) if CRITERIA[task].predicts_planes else part.mean_ab
        predicted = predict(model, on_device, rows=rows).astype(np.float64)
        found.append(np.square(predicted - true).reshape(len(rows), -1).mean(axis=1))
    return np.concatenate(found)


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


def _regressor_metrics(predicted: Floats, split: Split, names: frozenset[str]) -> dict[str, float]:
    own = _registered("regression", predicted, split.mean_ab, names)
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


def colorizer_metrics(
    predicted: Floats, split: Split, names: Collection[str] | None = None
) -> dict[str, float]:
    """Return the metrics of predicted planes (N, 2, H, W), pooled and per channel.

    PSNR comes from the MSE pooled over the set. SSIM is scikit-image's per picture and channel,
    with data range 1, then the mean. `ciede2000` is the mean color difference over all pixels.
    `psnr_rgb` and `ssim_rgb` compare the 8-bit RGB pictures that the predicted and the true
    chrominance make with the true L. `colorfulness` is the mean over the predicted pictures,
    `colorfulness_difference` the mean distance from that of the true ones. Metrics that are
    registered are added. With `names`, only these are measured, MSE and PSNR.
    """
    return _colorizer_metrics([(len(split), _means(predicted, split, _wanted("colorizer", names)))])


def _wanted(task: str, names: Collection[str] | None) -> frozenset[str]:
    return frozenset(metric_names(task) if names is None else names)


def _means(predicted: Floats, split: Split, names: frozenset[str]) -> dict[str, float]:
    """Means over the pictures of a split: all that is pooled, or follows from what is pooled."""
    true = _true_planes(split)
    pairs = list(zip(predicted, true, strict=True))
    means = dict(zip(("mse_a", "mse_b"), _mse(predicted, true), strict=True))
    if names & {"ssim", "ssim_a", "ssim_b"}:
        each = np.array([ssim(*pair) for pair in pairs])
        means |= {"ssim_a": float(each[:, 0].mean()), "ssim_b": float(each[:, 1].mean())}
    if "ciede2000" in names:
        means["ciede2000"] = ciede2000(predicted, true)
    return means | _rgb_means(predicted, split, names)


def _rgb_means(predicted: Floats, split: Split, names: frozenset[str]) -> dict[str, float]:
    """What is measured on RGB pictures, which are made only if one of `names` needs them."""
    names -= {name for name in CRITERIA["colorizer"].metrics if name not in _OF_RGB}
    if not names:
        return {}
    painted, known = _rgb(predicted, split)
    pairs = list(zip(painted, known, strict=True))
    means = {}
    if "psnr_rgb" in names:
        squared = [
            np.square(made.astype(np.float32) - own).mean(dtype=float) for made, own in pairs
        ]
        means["mse_rgb"] = float(np.mean(squared)) / 255**2
    if "ssim_rgb" in names:
        each = [
            ssim(made.transpose(2, 0, 1), own.transpose(2, 0, 1), data_range=255)
            for made, own in pairs
        ]
        means["ssim_rgb"] = float(np.mean(each))
    if names & {"colorfulness", "colorfulness_difference"}:
        colors = [(colorfulness(made), colorfulness(own)) for made, own in pairs]
        means["colorfulness"] = float(np.mean([made for made, _ in colors]))
        means["colorfulness_difference"] = float(np.mean([abs(x - y) for x, y in colors]))
    return means | _registered("colorizer", painted, known, names)


def _colorizer_metrics(parts: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Pool the means of all parts by their numbers of pictures."""
    means = dict(parts[0][1])
    if len(parts) > 1:
        weights = [count for count, _ in parts]
        for name in means:
            values = [part[name] for _, part in parts]
            means[name] = float(np.average(values, weights=weights))
    mse = _both([means.pop("mse_a"), means.pop("mse_b")])
    metrics = _by_channel("mse", mse) | _by_channel("psnr", map(psnr, mse))
    if "ssim_a" in means:
        metrics |= _by_channel("ssim", _both([means.pop("ssim_a"), means.pop("ssim_b")]))
    if "mse_rgb" in means:
        metrics["psnr_rgb"] = psnr(means.pop("mse_rgb"))
    return metrics | means


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
    metrics = _by_channel("psnr", map(psnr, _both(_mse(predicted, true))), "_as_reported")
    if len(split) < WINDOW:
        return metrics
    each = [float(ssim(predicted[:, i], true[:, i], data_range=2.0, axes=3)) for i in range(2)]
    return metrics | _by_channel("ssim", _both(each), "_as_reported")


def psnr(mse: float) -> float:
    """Return the PSNR in dB of an MSE between values in [0, 1], at most 100 (`MAX_PSNR`)."""
    return min(MAX_PSNR, -10 * math.log10(mse)) if mse > 0 else MAX_PSNR


def to_bytes(unit: Floats) -> Bytes:
    """Round values in [0, 1] to uint8."""
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def _named(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in metrics.items()}


def _both(each: Sequence[float]) -> list[float]:
    """Return the mean over both channels, then the channels' own values."""
    return [float(np.mean(each)), *each]


def _by_channel(name: str, values: Iterable[float], suffix: str = "") -> dict[str, float]:
    pairs = zip(("", "_a", "_b"), values, strict=True)
    return {f"{name}{channel}{suffix}": value for channel, value in pairs}


def _registered(task: str, predicted: Any, true: Any, names: frozenset[str]) -> dict[str, float]:
    """Return the metrics of `register_metric`; ChromatuneError if one is no finite number."""
    metrics = {}
    for name, metric in METRICS.items():
        if metric.task != task or name not in names:
            continue
        value: Any = metric.function(predicted.copy(), true.copy())  # which it may change
        try:
            metrics[name] = float(value)
        except (TypeError, ValueError, RuntimeError):
            metrics[name] = math.nan
        if not math.isfinite(metrics[name]):
            shape = getattr(value, "shape", ())
            got = f"of shape {tuple(shape)}" if shape else reprlib.repr(value)
            raise ChromatuneError(f"the metric '{name}' must be a finite number, but is {got}")
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


def _true_planes(split: Split) -> Floats:
    return np.stack(split.planes, axis=1).astype(np.float32) / np.float32(255)


def _mse(predicted: Floats, true: Floats) -> list[float]:
    """The MSE of each channel of planes (N, 2, H, W)."""
    return [
        float(np.mean(np.square(predicted[:, channel].astype(np.float64) - true[:, channel])))
        for channel in range(2)
    ]


def _finite(predicted: torch.Tensor) -> Floats:
    if not bool(torch.isfinite(predicted).all()):
        raise NonFinitePredictionError("the model predicts NaN or infinity")
    array: Floats = predicted.numpy()
    return array
