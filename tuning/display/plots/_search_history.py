"""A search trial by trial: the value of each, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from tuning.display.formatting import metric_title
from tuning.display.plots._canvas import DRAWING, INK, MUTED, new_figure, write_png
from tuning.display.plots._trials import (
    BEST,
    PlottedTrial,
    best_of,
    dress,
    legend,
    mark,
    nothing,
    scale_of,
    title,
)


def search_history(
    heading: str, trials: Sequence[PlottedTrial], metric: str, maximize: bool, path: str | Path
) -> None:
    """Draw the value of every trial by its number, and a line of the best so far.

    Trials that left no value are crosses at the lower edge.
    """
    scale = scale_of(metric, maximize, [trial.value for trial in trials])
    best = best_of(trials, maximize)
    with DRAWING:
        figure = new_figure(7.2, 4.1)
        title(figure, heading)
        axes = figure.subplots()
        if best is None:
            nothing(axes, "no trial has a value yet")
            write_png(figure, path)
            return
        dress(axes)
        scale.dress(axes.yaxis)
        _best_so_far(axes, trials, maximize, scale.clipped)
        for trial in trials:
            if math.isfinite(trial.value):
                mark(axes, trial.number, trial, scale, is_best=trial is best)
            else:
                edge = {"transform": axes.get_xaxis_transform(), "clip_on": False}
                axes.plot([trial.number], [0.0], marker="x", color=MUTED, markersize=6, **edge)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
        axes.set_xlabel("trial (×: failed or diverged)", fontsize=9, color=INK)
        axes.set_ylabel(metric_title(metric), fontsize=9, color=INK)
        legend(axes, trials, scale, best=f"best: trial {best.number}")
        write_png(figure, path)


def _best_so_far(
    axes: Any, trials: Sequence[PlottedTrial], maximize: bool, clipped: Callable[[float], float]
) -> None:
    numbers, values = [], []
    seen: list[PlottedTrial] = []
    for trial in trials:
        seen.append(trial)
        best = best_of(seen, maximize)
        if best is not None:
            numbers.append(trial.number)
            values.append(clipped(best.value))
    axes.step(numbers, values, where="post", color=BEST, linewidth=1.4, zorder=2)
