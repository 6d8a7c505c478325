"""Optuna's own plots of a search, written as PNG files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
from matplotlib.ticker import NullFormatter
from optuna.trial import TrialState
from optuna.visualization import matplotlib as optuna_plots

from tuning.display.formatting import metric_title
from tuning.search.objectives import Objective
from tuning.search.study import quiet

# Importances of fewer finished trials are noise.
_LEAST_TO_COMPARE = 4
# More trials do not fit in a legend.
_MOST_NAMED = 20
_WIDTH, _HEIGHT, _WIDTH_PER_PARAMETER = 8.0, 4.8, 2.6
_WIDEST_TICKS = 18  # characters of all labels at a narrow axis
_DPI = 110


def draw_study(
    study: optuna.Study, objectives: Sequence[Objective], folder: Path, name: str
) -> None:
    """Draw a study's trials into `folder`; every title starts with `name`.

    All plots but the Pareto front show the first objective. Plots that need more trials are left
    out, and so are learning curves of several objectives, which Optuna does not store.
    """
    first = objectives[0]
    title = metric_title(first.name)
    shown: dict[str, Any] = {"target_name": title}
    if len(objectives) > 1:
        shown["target"] = lambda trial: trial.values[0]
    trials = study.get_trials(deepcopy=False)
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    parameters = {parameter for trial in finished for parameter in trial.params}
    wide = max(_WIDTH, _WIDTH_PER_PARAMETER * len(parameters))
    with _pyplot():
        if finished:
            axes = optuna_plots.plot_optimization_history(study, **shown)
            _save(axes, f"{name}: optimization history", folder / "optimization_history.png")
        if parameters:
            axes = optuna_plots.plot_slice(study, **shown)
            _save(axes, f"{name}: trials by parameter", folder / "slice.png", wide)
            axes = optuna_plots.plot_parallel_coordinate(study, **shown)
            _save(axes, f"{name}: parallel coordinates", folder / "parallel_coordinate.png", wide)
        if parameters and len(finished) >= _LEAST_TO_COMPARE:
            # Optuna's importances expect that lower is better.
            axes = optuna_plots.plot_param_importances(
                study, target=lambda trial: -first.sign * trial.values[0], target_name=title
            )
            _save(axes, f"{name}: parameter importances", folder / "param_importances.png")
        if any(trial.intermediate_values for trial in trials):
            axes = optuna_plots.plot_intermediate_values(study)
            axes.set(xlabel="epoch", ylabel=f"best {title} so far")
            _save(axes, f"{name}: learning curves", folder / "learning_curves.png")
        if finished and len(objectives) in (2, 3):
            names = [metric_title(objective.name) for objective in objectives]
            axes = optuna_plots.plot_pareto_front(study, target_names=names)
            _save(axes, f"{name}: Pareto front", folder / "pareto.png")


@contextmanager
def _pyplot() -> Iterator[None]:
    """Let Optuna use pyplot without a screen; the caller's style and figures stay as they are."""
    backend = plt.get_backend()
    plt.switch_backend("agg")
    try:
        # Optuna warns that its plots are experimental, and of too few trials.
        warned = warnings.catch_warnings(action="ignore")
        with quiet(optuna.logging.ERROR), plt.rc_context(), warned:
            yield
    finally:
        plt.switch_backend(backend)


def _save(axes: Any, title: str, path: Path, width: float = _WIDTH) -> None:
    """Give a plot its title and its size, make its labels legible, and write it."""
    all_axes = np.ravel(axes)
    figure = all_axes[0].figure
    figure.set_size_inches(width, _HEIGHT)
    legend = all_axes[0].get_legend()
    if legend is not None and len(legend.get_texts()) > _MOST_NAMED:
        legend.remove()
    figure.canvas.draw()
    for each in figure.axes:
        each.set_title("", loc="left")
        each.set_title("")
        each.xaxis.set_minor_formatter(NullFormatter())
        if each not in all_axes:
            each.grid(visible=False)  # the further axes of parallel coordinates
        if sum(len(label.get_text()) for label in each.get_xticklabels()) > _WIDEST_TICKS:
            plt.setp(each.get_xticklabels(), rotation=25, ha="right", rotation_mode="anchor")
    figure.suptitle(title, fontsize=12, fontweight="bold", y=1.0)
    figure.savefig(path, dpi=_DPI, bbox_inches="tight", facecolor="white")
    plt.close(figure)
