"""A grid of cells as coloured tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from tuning.display import formatting
from tuning.display.formatting import format_value, metric_title
from tuning.display.plots._canvas import DRAWING, INK, MUTED, as_png, new_figure

if TYPE_CHECKING:
    from tuning.display.grid_table import GridPanels

# Light to middle blue: dark ink stays readable on every colour, lightness alone tells the order.
_COLOURS = colormaps["GnBu"](np.linspace(0.04, 0.72, 256))


def grid_heatmap(title: str, grid: GridPanels, metric: str) -> bytes:
    """Draw a grid as the published tables: one panel per model or head, each cell with its number.

    NaN or infinite means not run or failed and is hatched. A star marks the best cell of all, a
    frame the best of its panel. One colour scale serves all panels, dark is better; values worse
    than the best by a factor of 4 (an error) or by 6 dB (PSNR) share the lightest colour, so that
    one hopeless cell does not flatten the others. ValueError if there is no panel.
    """
    if not grid.values:
        raise ValueError("a heatmap needs at least one panel")
    rows, columns, higher_is_better = grid.rows, grid.columns, formatting.higher_is_better(metric)
    panels = {name: np.asarray(value, dtype=np.float64) for name, value in grid.values.items()}
    finite = np.concatenate([panel[np.isfinite(panel)] for panel in panels.values()])
    norm = _norm(finite, metric, higher_is_better)
    colours = ListedColormap(_COLOURS if higher_is_better else _COLOURS[::-1])
    best = _best(finite, higher_is_better)
    across = len(panels)
    width = 1.35 + across * max(1.75, 0.6 * len(columns)) + 0.3 * (across - 1)
    height = 1.75 + max(0.52 * len(rows), 0.9)
    with DRAWING:
        figure = new_figure(width, height)
        all_axes = figure.subplots(1, across, sharey=True, squeeze=False)[0]
        for axes, (name, panel) in zip(all_axes, panels.items(), strict=True):
            _cells(axes, panel, metric, norm, colours)
            _mark(axes, panel, _best(panel[np.isfinite(panel)], higher_is_better), best)
            axes.set_title(name, fontsize=9.5, color=INK, pad=6, parse_math=False)
            axes.set_xticks(range(len(columns)), columns, fontsize=8.5, color=INK)
            axes.set_yticks(range(len(rows)), rows, fontsize=8.5, color=INK)
            axes.set_xlabel("learning rate", fontsize=8.5, color=MUTED)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        all_axes[0].set_ylabel("epochs", fontsize=8.5, color=MUTED)
        left = {"x": 0.012, "ha": "left"}
        figure.suptitle(title, fontsize=11, color=INK, fontweight="bold", parse_math=False, **left)
        figure.supxlabel(_legend(panels), fontsize=7.5, color=MUTED, **left)
        if len(np.unique(finite)) > 1:
            _colour_bar(figure, all_axes, ScalarMappable(norm, colours), metric, finite)
        return as_png(figure)


def _legend(panels: Mapping[str, NDArray[np.float64]]) -> str:
    """Explain the marks that are there."""
    marks = ["★ best of all"]
    if len(panels) > 1:
        marks.append("□ best of its panel")
    if not all(np.isfinite(panel).all() for panel in panels.values()):
        marks.append("hatched: not run or failed")
    return "      ".join(marks)


def _best(finite: NDArray[np.float64], higher_is_better: bool) -> float:
    if not len(finite):
        return math.nan
    return float(finite.max() if higher_is_better else finite.min())


def _norm(finite: NDArray[np.float64], metric: str, higher_is_better: bool) -> Normalize:
    if not len(finite):
        return Normalize(0, 1)
    low, high = float(finite.min()), float(finite.max())
    if higher_is_better:
        low = max(low, high - 6) if "psnr" in metric else low
        return Normalize(low if low < high else high - 1, high)
    if low <= 0:
        return Normalize(low, high if low < high else low + 1)
    return LogNorm(low, min(high, 4 * low) if low < high else 2 * low)


def _cells(
    axes: Any, panel: NDArray[np.float64], metric: str, norm: Normalize, colours: Any
) -> None:
    for (row, column), value in np.ndenumerate(panel):
        corner = (column - 0.5, row - 0.5)
        if math.isfinite(value):
            fill: dict[str, Any] = {
                "facecolor": colours(norm(np.clip(value, norm.vmin, norm.vmax)))
            }
            text = format_value(metric, value)
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=INK)
        else:
            fill = {"facecolor": "#f4f6f8", "hatch": "////", "hatchcolor": "#b4bdc7"}
        axes.add_patch(Rectangle(corner, 1, 1, edgecolor="white", linewidth=1.5, **fill))
    axes.set_xlim(-0.5, panel.shape[1] - 0.5)
    axes.set_ylim(panel.shape[0] - 0.5, -0.5)


def _mark(axes: Any, panel: NDArray[np.float64], best_here: float, best: float) -> None:
    for row, column in np.argwhere(panel == best_here):
        corner = (column - 0.46, row - 0.46)
        frame = Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=INK, linewidth=1.6, zorder=3)
        axes.add_patch(frame)
        if best_here == best:
            axes.text(column, row - 0.26, "★", ha="center", va="center", fontsize=9, color=INK)


def _colour_bar(
    figure: Any, all_axes: Any, mappable: Any, metric: str, finite: NDArray[np.float64]
) -> None:
    norm = mappable.norm
    extend = "neither"
    if (finite < norm.vmin).any():
        extend = "min"
    elif (finite > norm.vmax).any():
        extend = "max"
    bar = figure.colorbar(mappable, ax=list(all_axes), extend=extend, aspect=18, pad=0.02)
    bar.ax.yaxis.set_major_locator(FixedLocator(norm.inverse(np.linspace(0, 1, 4)).tolist()))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(metric, value)))
    bar.ax.tick_params(labelsize=8, length=2, color=MUTED, labelcolor=INK)
    bar.set_label(metric_title(metric), fontsize=8.5, color=MUTED)
    bar.outline.set_visible(False)
