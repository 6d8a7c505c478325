"""How metrics are named and numbers written, the same in tables, pictures and progress lines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tuning.errors import ChromatuneError, nearest
from tuning.training.tasks import registered_metric

# What a metric's name contains -> (title, higher is better, how a value is written).
_KINDS = {
    "rmse_lab": ("RMSE, Lab units", False, "{:.2f}"),
    "mse": ("MSE", False, "{:.2e}"),
    "loss": ("loss", False, "{:.2e}"),
    "psnr": ("PSNR, dB", True, "{:.2f}"),
    "ssim": ("SSIM", True, "{:.3f}"),
    "ciede2000": ("CIEDE2000", False, "{:.2f}"),
    "colorfulness_difference": ("difference in colorfulness", False, "{:.2f}"),
    "colorfulness": ("colorfulness", True, "{:.2f}"),
    "parameters": ("parameters", False, "{:,.0f}"),
    "seconds": ("seconds", False, "{:,.0f}"),
}
_HEADS = {"relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh"}
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_DETAILS = {"a": "channel a", "b": "channel b", "rgb": "in RGB"}


def higher_is_better(metric: str) -> bool:
    """Say whether a larger value of `metric` is a better one; ChromatuneError if it is unknown."""
    if (registered := registered_metric(metric)) is not None:
        return registered.maximize
    kind = _kind(metric)
    if kind is None:
        hint = nearest(metric, ["val_mse", "val_psnr", "val_ssim", "train_loss", "test_mse"])
        raise ChromatuneError(f"metric '{metric}' contains none of {', '.join(_KINDS)}{hint}")
    return _KINDS[kind][1]


def metric_title(metric: str) -> str:
    """Write out a metric with its unit: `val_psnr_a` is `validation PSNR, dB (channel a)`.

    A metric of a user's own keeps its name.
    """
    kind = _kind(metric)
    if kind is None:
        split, _, name = metric.partition("_")
        return f"{_SPLITS.get(split, split)} {name}"
    before, _, after = metric.partition(kind)
    split = _SPLITS.get(before.strip("_"), before.strip("_"))
    channel = after.removesuffix("_as_reported").strip("_")
    details = [_DETAILS.get(channel, channel)] if channel else []
    if after.endswith("_as_reported"):
        details.append("as in the original paper")
    return f"{split} {_KINDS[kind][0]}".strip() + (f" ({', '.join(details)})" if details else "")


def metric_heading(metric: str) -> str:
    """Write a metric as a short column heading: `test_psnr_a` is `PSNR a, dB`.

    A star stands for `_as_reported`. A metric of a user's own keeps its name.
    """
    kind = _kind(metric)
    if kind is None:
        return metric.removeprefix("val_").removeprefix("test_")
    name, _, unit = _KINDS[kind][0].partition(", ")
    detail = metric.partition(kind)[2].removesuffix("_as_reported").strip("_")
    heading = f"{name} {detail}".strip() + ("*" if metric.endswith("_as_reported") else "")
    return f"{heading}, {unit}" if unit else heading


def format_value(metric: str, value: float) -> str:
    """Write a value: MSE `1.08e-4`, PSNR `35.76`, SSIM `0.804`; not finite: `nan`, `inf`.

    A metric of a user's own is written with four significant digits.
    """
    if not math.isfinite(value):
        return str(float(value))
    kind = _kind(metric)
    form = _KINDS[kind][2] if kind else "{:.4g}"
    mantissa, mark, exponent = form.format(value).partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else mantissa


def with_unit(metric: str, value: float) -> str:
    """Write a value as in a sentence: `35.76 dB`."""
    return format_value(metric, value) + (" dB" if "psnr" in metric else "")


def head_title(head: str) -> str:
    """Write an output activation as the original paper does: `ReLU`."""
    return _HEADS.get(head, head)


def format_lr(lr: float) -> str:
    """Write a learning rate as the original paper and the cell ids do: `1e-3`, `2.5e-4`."""
    mantissa, exponent = f"{lr:.9e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def written(value: Any) -> str:
    """Write a value of a parameter: `2.5e-4`, `0.5`, `unet`."""
    if not isinstance(value, float):
        return str(value)
    if value == 0 or 1e-2 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return format_lr(float(f"{value:.2e}"))


def settings_text(values: Mapping[str, Any]) -> str:
    """Write parameters in a line: `model=unet lr=2.5e-3`."""
    return " ".join(f"{name}={written(value)}" for name, value in values.items())


def format_count(count: int, noun: str) -> str:
    """Write `1 trial`, `9 trials`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """Write a span of time as `42 s`, `3:07` (minutes) or `1:03:07` (hours)."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def format_age(seconds: float) -> str:
    """Write how long ago something was in its largest unit: `42 s`, `7 min`, `5 h`, `3 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def one_line(text: str, longest: int = 300) -> str:
    """Write any text in one line of printable characters, cut where it is too long."""
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(text.split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _kind(metric: str) -> str | None:
    """The kind of a metric; None of one that a user has registered, here or elsewhere."""
    if registered_metric(metric) is not None:
        return None
    return next((kind for kind in _KINDS if kind in metric), None)
