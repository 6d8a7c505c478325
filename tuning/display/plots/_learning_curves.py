"""The validation scores of a launch's trainings over their epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tuning.display.formatting import metric_title
from tuning.display.plots._canvas import DRAWING, FAINT, INK, MUTED, as_png

_BEST, _DPI = "#16528e", 100


class _Shown(Figure):
    """A figure that a notebook shows also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        with DRAWING:
            return as_png(self)


def learning_curves(
    curves: Mapping[str, Sequence[tuple[int, float]]], title: str, metric: str, *, maximize: bool
) -> Any:
    """Draw points (epoch, value of `metric`) of each training, by its name, as a figure.

    The training that reaches the best value is in color and named.
    """
    best_of = max if maximize else min
    values = {name: best_of(value for _, value in points) for name, points in curves.items()}
    best = best_of(values, key=values.__getitem__)
    figure = _Shown(figsize=(6.4, 3.6), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in sorted(curves, key=lambda name: name == best):
        style: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "alpha": 0.6}
        if name == best:
            style = {"color": _BEST, "linewidth": 1.8, "label": f"best: {best}"}
        axes.plot(*zip(*curves[name], strict=True), marker="o", markersize=3, **style)
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", parse_math=False)
    axes.set_xlabel("epoch", fontsize=9, color=INK)
    axes.set_ylabel(metric_title(metric), fontsize=9, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)
    return figure
