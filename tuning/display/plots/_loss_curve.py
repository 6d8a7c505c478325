"""The loss of one training over its epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tuning.display.formatting import format_lr
from tuning.display.plots._canvas import DRAWING, FAINT, INK, MUTED, as_png, new_figure

_TRAIN, _VAL, _PUBLISHED = "#16528e", "#e8842c", "#9aa5b1"
_MUCH = 3  # times as many epochs


def loss_curve(
    history: Sequence[Mapping[str, Any]],
    title: str,
    published: Sequence[float] | None = None,
    head: str = "relu",
) -> bytes:
    """Draw the training loss and the validation MSE over the epochs, on one logarithmic axis.

    `history` holds epoch records (`epoch`, `train_loss`, on some epochs `val_mse` or `val_psnr`);
    of an epoch recorded twice the later record counts. `published` is the published training
    loss, one value an epoch. With a colorizer's `val_psnr` the right-hand axis reads the same
    points in dB: PSNR = -10 log10(MSE). A `tanh` head is trained on targets in [-1, 1], where
    errors are four times those in [0, 1]; its losses are drawn divided by 4, so that all lines have
    one unit. Where one training is much longer than the other, epochs are on a logarithmic axis
    too.
    """
    factor = 4.0 if head == "tanh" else 1.0
    loss_name = "training loss / 4" if head == "tanh" else "training loss"
    by_epoch = {int(record["epoch"]): record for record in history}
    records = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    train = [(r["epoch"], r.get("train_loss", math.nan) / factor) for r in records]
    val = [(r["epoch"], _validation_mse(r)) for r in records]
    theirs = [(epoch, loss / factor) for epoch, loss in enumerate(published or (), start=1)]
    with DRAWING:
        figure = new_figure(4.1, 2.9)  # half the width of a page
        axes = figure.subplots()
        dashed = {"linewidth": 1.2, "linestyle": "--"}
        _line(axes, theirs, f"{loss_name}, published", color=_PUBLISHED, **dashed)
        _line(axes, train, loss_name, color=_TRAIN, linewidth=1.6)
        dots = {"marker": "o", "markersize": 4.5, "markeredgecolor": "white"}
        _line(axes, val, "validation MSE", color=_VAL, linewidth=0.9, **dots)
        _dress(axes, title)
        if not axes.lines:
            axes.set_yticks([])
            middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
            axes.text(0.5, 0.5, "no finite loss recorded", color=MUTED, **middle)
        else:
            axes.set_xlim(0, max(1, axes.dataLim.x1) * 1.02)
            if theirs and records and not 1 / _MUCH < len(theirs) / max(by_epoch) < _MUCH:
                _log_epochs(axes)
            _log_axis(axes)
            axes.legend(fontsize=8, frameon=False, labelcolor=INK)
            if any("val_psnr" in record for record in records):
                _psnr_axis(axes)
        return as_png(figure)


def _validation_mse(record: Mapping[str, Any]) -> float:
    if "val_mse" in record:
        return float(record["val_mse"])
    return float(10 ** (-record["val_psnr"] / 10)) if "val_psnr" in record else math.nan


def _line(axes: Any, points: Sequence[tuple[int, float]], label: str, **style: Any) -> None:
    """Draw the points a logarithmic axis can show; if none, neither line nor legend entry."""
    shown = [(epoch, value) for epoch, value in points if 0 < value < math.inf]
    if shown:
        if len(shown) == 1:
            style.setdefault("marker", "o")
        axes.plot(*zip(*shown, strict=True), label=label, **style)


def _dress(axes: Any, title: str) -> None:
    style = {"fontsize": 11, "color": INK, "fontweight": "bold", "pad": 10}
    axes.set_title(title, loc="left", parse_math=False, **style)
    axes.set_xlabel("epoch", fontsize=9, color=INK)
    axes.set_ylabel("mean squared error, values in [0, 1]", fontsize=9, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(which="both", labelsize=8.5, color=MUTED, labelcolor=INK)
    axes.grid(visible=True, which="major", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _log_epochs(axes: Any) -> None:
    axes.set_xscale("log")
    axes.set_xlim(0.9, axes.dataLim.x1 * 1.1)
    axes.xaxis.set_major_locator(LogLocator(subs=[1.0, 2.0, 5.0], numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _log_axis(axes: Any) -> None:
    """Set a log axis labelled like `2e-4`; the default labels need mathtext, unsafe in threads."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 2 * low:  # a flat curve is shown flat, not as noise blown up to the full height
        low, high = low / 1.5, high * 1.5
        axes.set_ylim(low, high)
    decades = math.log10(high / low)
    steps = [1.0] if decades > 2.5 else [1.0, 2.0, 5.0] if decades > 1 else [1, 1.5, 2, 3, 5, 7]
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_lr(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _psnr_axis(axes: Any) -> None:
    """Add the axis in dB on the right: it is linear where MSE is logarithmic, so points align."""
    right = axes.twinx()
    right.set_ylim(*(-10 * math.log10(mse) for mse in axes.get_ylim()))
    right.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.set_ylabel("validation PSNR, dB", fontsize=9, color=INK)
    right.spines[["top", "left", "bottom"]].set_visible(False)
    right.spines["right"].set_color(MUTED)
    right.tick_params(labelsize=8.5, color=MUTED, labelcolor=INK)
