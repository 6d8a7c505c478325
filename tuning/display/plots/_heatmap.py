"""A grid of cells as colored tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from numpy.typing import NDArray

from tuning.display.formatting import format_value, higher_is_better
from tuning.display.plots._canvas import DRAWING, INK, MUTED, as_png, new_figure

if TYPE_CHECKING:
    from tuning.display.grid_table import GridPanels

# Light to middle blue: dark ink stays readable on every colour, lightness alone tells the order.
_COLOURS = colormaps["GnBu"](np.linspace(0.04, 0.72, 256))


def grid_heatmap(title: str, grid: GridPanels, metric: str) -> bytes:
    """Draw a grid as the published tables: one panel per model or head, each cell with its number.

    NaN or infinite means not run or failed and is hatched; a star marks the best cell of all. One
    colour scale serves all panels, dark is better; values worse than the best by a factor of 4 (an
    error) or by 6 dB (PSNR) share the lightest colour, so that one hopeless cell does not flatten
    the others. ValueError if there is no panel.
    """
    if not grid.values:
        raise ValueError("a heatmap needs at least one panel")
    panels = np.ma.masked_invalid(np.array([*grid.values.values()], dtype=np.float64))
    colours = ListedColormap(_COLOURS if higher_is_better(metric) else _COLOURS[::-1])
    norm = _norm(panels.compressed(), metric)
    best = panels.max() if higher_is_better(metric) else panels.min()
    across = len(panels)
    width = 0.6 + across * max(1.75, 0.6 * len(grid.columns)) + 0.3 * (across - 1)
    with DRAWING:
        figure = new_figure(width, 1.75 + max(0.52 * len(grid.rows), 0.9))
        all_axes = figure.subplots(1, across, sharey=True, squeeze=False)[0]
        for axes, name, panel in zip(all_axes, grid.values, panels, strict=True):
            axes.patch.set(facecolor="#f4f6f8", edgecolor="#b4bdc7", hatch="////")
            axes.pcolormesh(panel, cmap=colours, norm=norm, edgecolors="white", linewidth=1.5)
            for row, column in np.argwhere(~np.ma.getmaskarray(panel)):
                value = float(panel[row, column])
                text = ("★\n" if value == best else "") + format_value(metric, value)
                middle = {"ha": "center", "va": "center", "fontsize": 8.5, "color": INK}
                axes.text(column + 0.5, row + 0.5, text, **middle)
            _dress(axes, name, grid)
        all_axes[0].invert_yaxis()
        all_axes[0].set_ylabel("epochs", fontsize=8.5, color=MUTED)
        left = {"x": 0.012, "ha": "left"}
        figure.suptitle(title, fontsize=11, color=INK, fontweight="bold", parse_math=False, **left)
        legend = "★ best of all" + ("      hatched: not run or failed" if panels.mask.any() else "")
        figure.supxlabel(legend, fontsize=7.5, color=MUTED, **left)
        return as_png(figure)


def _norm(finite: NDArray[np.float64], metric: str) -> Normalize:
    if not len(finite):
        return Normalize(0, 1)
    low, high = float(finite.min()), float(finite.max())
    if higher_is_better(metric):
        low = max(low, high - 6) if "psnr" in metric else low
        return Normalize(low if low < high else high - 1, high)
    if low <= 0:
        return Normalize(low, high if low < high else low + 1)
    return LogNorm(low, min(high, 4 * low) if low < high else 2 * low)


def _dress(axes: Any, name: str, grid: GridPanels) -> None:
    axes.set_title(name, fontsize=9.5, color=INK, pad=6, parse_math=False)
    axes.set_xticks(np.arange(len(grid.columns)) + 0.5, grid.columns, fontsize=8.5, color=INK)
    axes.set_yticks(np.arange(len(grid.rows)) + 0.5, grid.rows, fontsize=8.5, color=INK)
    axes.set_xlabel("learning rate", fontsize=8.5, color=MUTED)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
