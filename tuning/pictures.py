"""Pictures of a training and of a grid, as PNG files.

Everything is drawn through matplotlib's object interface, so it works in any thread; one lock keeps
two drawings apart, because matplotlib's font cache is shared. Colours stay apart in grayscale.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from tuning.display import format_lr, format_value, metric_title

_INK, _MUTED, _FAINT = "#1c2733", "#5f6c7b", "#d5dbe1"
_TRAIN, _VAL, _PUBLISHED = "#16528e", "#e8842c", "#9aa5b1"
_DPI = 110
_LOCK = threading.Lock()


def picture_sheet(
    L: NDArray[np.uint8],
    predicted_a: NDArray[np.uint8],
    predicted_b: NDArray[np.uint8],
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    path: str | Path,
    titles: Sequence[str] | None = None,
) -> None:
    """Draw one row per picture: its grayscale, the predicted colours, the true colours.

    All planes are OpenCV 8-bit Lab, uint8 (N, H, W). `titles`, if given, holds N captions, one above
    each row. Every pixel stays a sharp square: pictures under 100 px are enlarged by a whole factor.
    ValueError if the planes or the titles do not fit together.
    """
    planes = {"L": L, "predicted_a": predicted_a, "predicted_b": predicted_b, "a": a, "b": b}
    for name, plane in planes.items():
        if plane.dtype != np.uint8 or plane.ndim != 3 or plane.shape != L.shape or not len(plane):
            raise ValueError(
                f"planes must all be uint8 (N, H, W) with N >= 1 and shaped like L {L.shape}, "
                f"but {name} is {plane.dtype} {plane.shape}"
            )
    if titles is not None and len(titles) != len(L):
        raise ValueError(f"{len(titles)} titles for {len(L)} pictures")
    gray = np.full_like(L, 128)
    columns = [
        ("grayscale", _to_rgb(L, gray, gray)),
        ("predicted", _to_rgb(L, predicted_a, predicted_b)),
        ("true", _to_rgb(L, a, b)),
    ]
    scale = max(1, math.ceil(100 / max(L.shape[1:])))
    height, width = L.shape[1] * scale, L.shape[2] * scale
    margin, gap, heading, caption = 12, 6, 24, 0 if titles is None else 18
    page_width = 2 * margin + 3 * width + 2 * gap
    page_height = 2 * margin + heading + len(L) * (height + caption + gap) - gap
    with _LOCK:
        figure = Figure(
            figsize=(page_width / _DPI, page_height / _DPI), dpi=_DPI, facecolor="white"
        )
        FigureCanvasAgg(figure)
        for column, (name, pictures) in enumerate(columns):
            x = margin + column * (width + gap)
            figure.text(
                (x + width / 2) / page_width,
                1 - (margin + heading / 2 - 4) / page_height,
                name,
                ha="center",
                va="center",
                fontsize=9.5,
                color=_INK,
                fontweight="bold",
            )
            for row, picture in enumerate(pictures):
                top = margin + heading + row * (height + caption + gap) + caption
                enlarged = picture.repeat(scale, axis=0).repeat(scale, axis=1)
                figure.figimage(enlarged, xo=x, yo=page_height - top - height, origin="upper")
        for row, title in enumerate(titles or ()):
            top = margin + heading + row * (height + caption + gap) + caption - 4
            figure.text(
                margin / page_width,
                1 - top / page_height,
                title,
                ha="left",
                va="baseline",
                fontsize=7.5,
                color=_MUTED,
                parse_math=False,
            )
        _write_png(figure, Path(path))


def loss_curve(
    history: Sequence[Mapping[str, Any]],
    title: str,
    path: str | Path,
    published: Sequence[float] | None = None,
    head: str = "relu",
) -> None:
    """Draw the training loss and the validation MSE over the epochs, on one logarithmic axis.

    `history` holds epoch records (`epoch`, `train_loss`, on some epochs `val_mse` or `val_psnr`); of
    an epoch recorded twice the later record counts. `published` is the report's own training loss,
    one value an epoch. With a colorizer's `val_psnr` the right-hand axis reads the same points in dB:
    PSNR = -10 log10(MSE). A `tanh` head is trained on targets in [-1, 1], where errors are four times
    those in [0, 1]; its losses are drawn divided by 4, so that both lines have one unit.
    """
    factor = 4.0 if head == "tanh" else 1.0
    unit = " / 4" if factor != 1 else ""
    records = {int(record["epoch"]): record for record in history}
    train = [
        (epoch, records[epoch].get("train_loss", math.nan) / factor) for epoch in sorted(records)
    ]
    val = [(epoch, _validation_mse(records[epoch])) for epoch in sorted(records)]
    with_psnr = any("val_psnr" in record for record in records.values())
    with _LOCK:
        figure, axes = _page(7.2, 4.1)
        if published:
            report = [(epoch, loss / factor) for epoch, loss in enumerate(published, start=1)]
            _line(
                axes,
                report,
                f"training loss{unit}, report",
                color=_PUBLISHED,
                linewidth=1.1,
                linestyle="--",
            )
        _line(axes, train, f"training loss{unit}", color=_TRAIN, linewidth=1.6)
        _line(
            axes,
            val,
            "validation MSE",
            color=_VAL,
            linewidth=0.9,
            marker="o",
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.7,
        )
        axes.set_title(
            title, loc="left", fontsize=11, color=_INK, fontweight="bold", pad=10, parse_math=False
        )
        axes.set_xlabel("epoch", fontsize=9, color=_INK)
        axes.set_ylabel("mean squared error, values in [0, 1]", fontsize=9, color=_INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        if axes.lines:
            _log_axis(axes)
            axes.legend(fontsize=8, frameon=False, labelcolor=_INK)
        else:
            axes.text(
                0.5,
                0.5,
                "no finite loss recorded",
                ha="center",
                transform=axes.transAxes,
                color=_MUTED,
            )
            axes.set_yticks([])
        if with_psnr and axes.lines:
            _psnr_axis(axes)
        _write_png(figure, Path(path))


def grid_heatmap(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[str, ArrayLike],
    metric: str,
    higher_is_better: bool,
    path: str | Path,
    row_name: str = "epochs",
    column_name: str = "learning rate",
) -> None:
    """Draw a grid as the report's tables: one panel per model or head, each cell with its number.

    `values` maps a panel's title to a (rows, columns) array; NaN or infinite means not run or failed
    and is hatched. A star marks the best cell of all, a frame the best of its panel. One colour scale
    serves all panels, dark is better; values worse than the best by a factor of 4 (an error) or by
    6 dB (PSNR) share the lightest colour, so that one hopeless cell does not flatten the others.
    ValueError if an array does not fit the labels.
    """
    panels = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
    for name, panel in panels.items():
        if panel.shape != (len(rows), len(columns)):
            raise ValueError(
                f"panel '{name}' must have the shape ({len(rows)}, {len(columns)}) of its labels, "
                f"but has {panel.shape}"
            )
    if not panels:
        raise ValueError("a heatmap needs at least one panel")
    finite = np.concatenate([panel[np.isfinite(panel)] for panel in panels.values()])
    pick = max if higher_is_better else min
    best = pick(finite.tolist(), default=None)
    norm = _norm(finite, metric, higher_is_better)
    panel_width = max(1.9, 0.78 * len(columns)) + 0.3
    with _LOCK:
        figure = Figure(
            figsize=(0.7 + panel_width * len(panels) + 1.0, 1.75 + max(0.52 * len(rows), 0.9)),
            dpi=_DPI,
            facecolor="white",
            layout="constrained",
        )
        FigureCanvasAgg(figure)
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        colours = colormaps["YlGnBu" if higher_is_better else "YlGnBu_r"]
        for axes, (name, panel) in zip(all_axes, panels.items(), strict=True):
            _panel(axes, panel, metric, norm, colours, best, pick)
            axes.set_title(name, fontsize=9.5, color=_INK, pad=6, parse_math=False)
            axes.set_xticks(range(len(columns)), columns, fontsize=8.5, color=_INK)
            axes.set_yticks(range(len(rows)), rows, fontsize=8.5, color=_INK)
            axes.set_xlabel(column_name, fontsize=8.5, color=_MUTED)
        all_axes[0].set_ylabel(row_name, fontsize=8.5, color=_MUTED)
        figure.suptitle(
            title, x=0.01, ha="left", fontsize=11, color=_INK, fontweight="bold", parse_math=False
        )
        figure.supxlabel(
            "★ best of all      □ best of its panel      hatched: not run or failed",
            fontsize=7.5,
            color=_MUTED,
            x=0.01,
            ha="left",
        )
        if best is not None:
            _colour_bar(figure, all_axes, norm, colours, metric, finite)
        _write_png(figure, Path(path))


def _to_rgb(
    L: NDArray[np.uint8], a: NDArray[np.uint8], b: NDArray[np.uint8]
) -> list[NDArray[np.uint8]]:
    stacked = np.stack([L, a, b], axis=-1)
    return [cv2.cvtColor(picture, cv2.COLOR_LAB2RGB).astype(np.uint8) for picture in stacked]


def _validation_mse(record: Mapping[str, Any]) -> float:
    if "val_mse" in record:
        return float(record["val_mse"])
    return float(10 ** (-record["val_psnr"] / 10)) if "val_psnr" in record else math.nan


def _page(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_MUTED)
    axes.tick_params(labelsize=8.5, colors=_MUTED, labelcolor=_INK)
    axes.grid(visible=True, which="major", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _line(axes: Any, points: Sequence[tuple[int, float]], label: str, **style: Any) -> None:
    """Draw the points that a logarithmic axis can show; none of them, no line and no legend entry."""
    shown = [(epoch, value) for epoch, value in points if 0 < value < math.inf]
    if shown:
        if len(shown) == 1:
            style.setdefault("marker", "o")
        epochs, values = zip(*shown, strict=True)
        axes.plot(epochs, values, label=label, **style)


def _log_axis(axes: Any) -> None:
    """Set a log axis with plain labels such as 2e-4: mathtext is not safe in several threads."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    steps = (1.0,) if decades > 2.5 else (1.0, 2.0, 5.0) if decades > 0.7 else tuple(range(1, 10))
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_lr(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _psnr_axis(axes: Any) -> None:
    def to_psnr(mse: Any) -> Any:
        return -10 * np.log10(np.maximum(mse, 1e-300))

    def to_mse(psnr: Any) -> Any:
        return 10 ** (-np.asarray(psnr) / 10)

    right = axes.secondary_yaxis("right", functions=(to_psnr, to_mse))
    right.set_yscale("linear")
    right.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.set_ylabel("validation PSNR, dB", fontsize=9, color=_INK)
    right.tick_params(labelsize=8.5, colors=_MUTED, labelcolor=_INK)
    right.spines["right"].set_color(_MUTED)


def _norm(finite: NDArray[np.float64], metric: str, higher_is_better: bool) -> Normalize:
    if not len(finite):
        return Normalize(0, 1)
    low, high = float(finite.min()), float(finite.max())
    if higher_is_better:
        low = max(low, high - 6) if "psnr" in metric else low
        return Normalize(low, high if high > low else low + 1)
    high = min(high, 4 * low) if low > 0 else high
    if low <= 0:
        return Normalize(low, high if high > low else low + 1)
    return LogNorm(low, high if high > low else 2 * low)


def _panel(
    axes: Any,
    panel: NDArray[np.float64],
    metric: str,
    norm: Normalize,
    colours: Any,
    best: float | None,
    pick: Any,
) -> None:
    best_here = pick(panel[np.isfinite(panel)].tolist(), default=None)
    for (row, column), value in np.ndenumerate(panel):
        corner = (column - 0.5, row - 0.5)
        if not math.isfinite(value):
            axes.add_patch(
                Rectangle(
                    corner,
                    1,
                    1,
                    facecolor="#f4f6f8",
                    edgecolor="#b4bdc7",
                    hatch="////",
                    linewidth=0,
                )
            )
            continue
        fill = colours(0.08 + 0.80 * float(np.clip(norm(value), 0, 1)))
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=fill, edgecolor="white", linewidth=1.5))
        luminance = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2]
        star = "★ " if value == best else ""
        axes.text(
            column,
            row,
            star + format_value(metric, value),
            ha="center",
            va="center",
            fontsize=8.5,
            color=_INK if luminance > 0.55 else "white",
            fontweight="bold" if value == best else "normal",
        )
        if value == best_here:
            axes.add_patch(
                Rectangle(
                    (corner[0] + 0.04, corner[1] + 0.04),
                    0.92,
                    0.92,
                    fill=False,
                    edgecolor=_INK,
                    linewidth=1.6,
                    zorder=3,
                )
            )
    axes.set_xlim(-0.5, panel.shape[1] - 0.5)
    axes.set_ylim(panel.shape[0] - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _colour_bar(
    figure: Figure,
    all_axes: Any,
    norm: Normalize,
    colours: Any,
    metric: str,
    finite: NDArray[np.float64],
) -> None:
    shown = colours(np.linspace(0.08, 0.88, 256))
    mappable = ScalarMappable(norm, ListedColormap(shown))
    beyond_low = bool((finite < float(norm.vmin or 0)).any())
    beyond_high = bool((finite > float(norm.vmax or 0)).any())
    extend = "min" if beyond_low else "max" if beyond_high else "neither"
    bar = figure.colorbar(
        mappable, ax=list(all_axes), extend=extend, aspect=18, pad=0.02, shrink=0.95
    )
    ticks = norm.inverse(np.linspace(0, 1, 4))
    bar.ax.yaxis.set_major_locator(FixedLocator(list(ticks)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(metric, value)))
    bar.ax.tick_params(labelsize=8, length=2, colors=_MUTED, labelcolor=_INK)
    bar.set_label(metric_title(metric), fontsize=8.5, color=_MUTED)
    bar.outline.set_visible(False)


def _write_png(figure: Figure, path: Path) -> None:
    """Write the drawing as an RGB PNG, whole or not at all."""
    canvas: Any = figure.canvas
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG", optimize=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(encoded.getvalue())
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise
