"""The learning curves of a search's trials, and where they were cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from tuning.display.formatting import metric_title
from tuning.display.plots._canvas import DRAWING, FAINT, INK, MUTED, new_figure, write_png
from tuning.display.plots._trials import (
    BEST,
    OTHER,
    SEARCHED,
    PlottedTrial,
    best_of,
    dress,
    nothing,
    scale_of,
    title,
)


def search_curves(
    heading: str,
    trials: Sequence[PlottedTrial],
    metric: str,
    maximize: bool,
    path: str | Path,
    rungs: Sequence[int] = (),
) -> None:
    """Draw each trial's validation figure over its epochs; a cross ends one that was cut short.

    `rungs` are the epochs at which the scheduler compares trials.
    """
    shown = [trial for trial in trials if trial.curve]
    scale = scale_of(metric, maximize, [value for one in shown for value in one.curve.values()])
    best = best_of(shown, maximize)
    with DRAWING:
        figure = new_figure(7.2, 4.3)
        title(figure, heading)
        axes = figure.subplots()
        if not shown:
            nothing(axes, "no trial has been validated yet")
            write_png(figure, path)
            return
        dress(axes)
        scale.dress(axes.yaxis)
        for rung in rungs:
            axes.axvline(rung, color=FAINT, linewidth=1.4, linestyle=(0, (2, 2)), zorder=1)
        for trial in shown:
            points = [
                (epoch, scale.clipped(value))
                for epoch, value in sorted(trial.curve.items())
                if math.isfinite(value)
            ]
            style = {"color": OTHER, "linewidth": 0.9, "zorder": 2}
            if trial.outcome in ("finished", "stopped"):
                style = {"color": SEARCHED, "linewidth": 1.1, "zorder": 3}
            if trial is best:
                style = {"color": BEST, "linewidth": 2.2, "zorder": 4}
            axes.plot(*zip(*points, strict=True), marker="." if len(points) == 1 else "", **style)
            if trial.outcome == "pruned":
                axes.plot(*points[-1], marker="x", color=MUTED, markersize=5.5, zorder=5)
        for label, colour in (("finished", SEARCHED), ("cut short", OTHER), ("best", BEST)):
            axes.plot([], [], color=colour, label=label)
        axes.plot([], [], marker="x", linestyle="none", color=MUTED, label="cut")
        axes.legend(
            fontsize=8,
            frameon=False,
            labelcolor=INK,
            ncols=4,
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            borderaxespad=0.2,
        )
        axes.set_xlim(0, max(max(trial.curve) for trial in shown) * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
        rungs_at = f" (dotted: compared at {', '.join(map(str, rungs))})" if rungs else ""
        axes.set_xlabel(f"epoch{rungs_at}", fontsize=9, color=INK)
        axes.set_ylabel(metric_title(metric), fontsize=9, color=INK)
        write_png(figure, path)
