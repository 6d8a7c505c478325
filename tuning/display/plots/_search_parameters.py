"""Parameters of a search against its values: slices, and parallel coordinates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tuning.display.formatting import format_lr, format_value, metric_heading
from tuning.display.plots._canvas import DRAWING, INK, MUTED, new_figure, write_png
from tuning.display.plots._trials import (
    BEST,
    PlottedTrial,
    Scale,
    best_of,
    dress,
    mark,
    nothing,
    scale_of,
    title,
)

_SLICES_A_ROW = 4
_COLOURS = ListedColormap(colormaps["GnBu"](np.linspace(0.35, 1.0, 256)))
_LEGEND = "orange: the best      dark: better      below an axis: it does not count for the trial"
_ABSENT = -0.12  # below an axis: the parameter does not count for this trial


@dataclasses.dataclass(frozen=True)
class PlottedParameter:
    """A dimension: `choices` of a categorical one, else the ends and whether it is logarithmic."""

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    def position(self, value: Any) -> float:
        """Where a value lies on an axis from 0 to 1."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices)
        if self.high == self.low:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))


def search_slices(
    heading: str,
    trials: Sequence[PlottedTrial],
    parameters: Sequence[PlottedParameter],
    metric: str,
    maximize: bool,
    path: str | Path,
) -> None:
    """Draw the values over each parameter, one small plot a parameter."""
    shown = [trial for trial in trials if math.isfinite(trial.value)]
    scale = scale_of(metric, maximize, [trial.value for trial in shown])
    best = best_of(shown, maximize)
    rows = max(1, math.ceil(len(parameters) / _SLICES_A_ROW))
    columns = max(1, min(_SLICES_A_ROW, len(parameters)))
    with DRAWING:
        figure = new_figure(0.5 + 2.3 * max(columns, 2), 0.6 + 2.1 * rows)
        title(figure, heading)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in grid.flat[len(parameters) :]:
            axes.set_axis_off()
        for axes, parameter in zip(grid.flat, parameters, strict=False):
            dress(axes)
            scale.dress(axes.yaxis)
            _parameter_axis(axes, parameter)
            for trial in shown:
                if parameter.name in trial.params:
                    x = trial.params[parameter.name]
                    place = parameter.choices.index(x) if parameter.choices else x
                    mark(axes, place, trial, scale, is_best=trial is best)
            axes.set_xlabel(parameter.name, fontsize=8.5, color=INK)
        for row in grid:
            row[0].set_ylabel(metric_heading(metric), fontsize=8.5, color=MUTED)
        if best is None or not parameters:
            nothing(grid.flat[0], "nothing to show yet")
        write_png(figure, path)


def search_parallel(
    heading: str,
    trials: Sequence[PlottedTrial],
    parameters: Sequence[PlottedParameter],
    metric: str,
    maximize: bool,
    path: str | Path,
) -> None:
    """Draw every trial as a line through its parameters to its value; dark is better.

    A parameter that does not count for a trial is passed below its axis.
    """
    shown = [trial for trial in trials if math.isfinite(trial.value)]
    scale = scale_of(metric, maximize, [trial.value for trial in shown])
    best = best_of(shown, maximize)
    with DRAWING:
        figure = new_figure(max(6.0, 1.6 + 1.12 * (len(parameters) + 1)), 4.4)
        title(figure, heading)
        axes = figure.subplots()
        if best is None or not parameters:
            nothing(axes, "nothing to show yet")
            write_png(figure, path)
            return
        for trial in sorted(shown, key=lambda trial: scale.share(trial.value)):
            _line(axes, trial, parameters, scale, is_best=trial is best)
        _vertical_axes(axes, parameters, scale, metric)
        figure.supxlabel(_LEGEND, fontsize=7.5, color=MUTED, x=0.012, ha="left")
        write_png(figure, path)


def _line(
    axes: Any,
    trial: PlottedTrial,
    parameters: Sequence[PlottedParameter],
    scale: Scale,
    is_best: bool,
) -> None:
    heights = [
        one.position(trial.params[one.name]) if one.name in trial.params else _ABSENT
        for one in parameters
    ]
    share = scale.share(trial.value)
    heights.append(share if scale.maximize else 1 - share)
    style: dict[str, Any] = {"color": _COLOURS(share), "linewidth": 1.2, "alpha": 0.85}
    if is_best:
        style = {"color": BEST, "linewidth": 2.4}
    axes.plot(range(len(heights)), heights, zorder=3 if is_best else 2, **style)


def _vertical_axes(
    axes: Any, parameters: Sequence[PlottedParameter], scale: Scale, metric: str
) -> None:
    beside = {"fontsize": 7.5, "color": INK, "va": "center", "parse_math": False, "zorder": 5}
    paper = {"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.75, "linewidth": 0}
    for column, parameter in enumerate(parameters):
        axes.plot([column, column], [0, 1], color=MUTED, linewidth=1, zorder=4)
        for height, text in _labels(parameter).items():
            axes.text(column + 0.04, height, text, bbox=paper, **beside)
    last = len(parameters)
    axes.plot([last, last], [0, 1], color=INK, linewidth=1.4, zorder=4)
    for height, value in ((0, scale.low), (1, scale.high)):
        axes.text(last + 0.05, height, format_value(metric, value), **beside)
    names = [*(one.name.replace("model_kwargs.", "") for one in parameters), metric]
    for column, name in enumerate(names):
        where = {"ha": "center", "va": "bottom", "fontsize": 8.5, "color": INK}
        axes.text(column, 1.045, name.replace("_", "_\n", 1) if len(name) > 9 else name, **where)
    axes.set_xlim(-0.25, last + 0.55)
    axes.set_ylim(_ABSENT - 0.05, 1.16)
    axes.set_axis_off()


def _labels(parameter: PlottedParameter) -> Mapping[float, str]:
    if parameter.choices:
        return {parameter.position(choice): _written(choice) for choice in parameter.choices}
    return {0.0: _number(parameter.low), 1.0: _number(parameter.high)}


def _parameter_axis(axes: Any, parameter: PlottedParameter) -> None:
    if parameter.choices:
        labels = [_written(choice) for choice in parameter.choices]
        turned = {"rotation": 30, "ha": "right"} if sum(map(len, labels)) > 20 else {}
        axes.set_xticks(range(len(labels)), labels, **turned)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        return
    if parameter.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))


def _number(value: float) -> str:
    return f"{value:g}" if value == 0 or 1e-2 <= abs(value) < 1e5 else format_lr(value)


def _written(choice: Any) -> str:
    return _number(choice) if isinstance(choice, float) else str(choice)
