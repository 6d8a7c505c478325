"""Several objectives against the first: what no other trial beats in all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from tuning.display.formatting import metric_title
from tuning.display.plots._canvas import DRAWING, INK, new_figure, write_png
from tuning.display.plots._trials import (
    BEST,
    PlottedTrial,
    dress,
    legend,
    mark,
    nothing,
    scale_of,
    title,
)


def search_pareto(
    heading: str,
    trials: Sequence[PlottedTrial],
    metrics: Sequence[tuple[str, bool]],
    front: Collection[int],
    path: str | Path,
) -> None:
    """Draw the first objective over each other one; `front` are the numbers of the Pareto set.

    `metrics` pairs each objective's name with whether more is better.
    """
    (metric, maximize), *others = metrics
    shown = [trial for trial in trials if trial.value == trial.value and trial.other_values]
    best = [trial.value for trial in shown if trial.number in front]
    scale = scale_of(metric, maximize, [trial.value for trial in shown], always=best)
    with DRAWING:
        figure = new_figure(0.6 + 5.4 * len(others), 4.3)
        title(figure, heading)
        for index, (axes, (name, more)) in enumerate(
            zip(figure.subplots(1, len(others), squeeze=False)[0], others, strict=True)
        ):
            if not shown:
                nothing(axes, "no trial has a value yet")
                continue
            values = {trial.number: trial.other_values[index] for trial in shown}
            best = [value for number, value in values.items() if number in front]
            across = scale_of(name, more, list(values.values()), always=best)
            dress(axes)
            scale.dress(axes.yaxis)
            across.dress(axes.xaxis)
            line = sorted(
                (trial.other_values[index], scale.clipped(trial.value))
                for trial in shown
                if trial.number in front
            )
            if len(others) == 1 and line:
                axes.step(*zip(*line, strict=True), where="post", color=BEST, linewidth=1.2)
            for trial in shown:
                x = across.clipped(trial.other_values[index])
                mark(axes, x, trial, scale, is_best=trial.number in front)
            axes.set_xlabel(metric_title(name), fontsize=9, color=INK)
            axes.set_ylabel(metric_title(metric), fontsize=9, color=INK)
            legend(axes, shown, scale, best="Pareto set")
        write_png(figure, path)
