"""The next point of a grid: what the sampler `grid` has in the place of drawing."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from tuning.search.space import Space


def enqueue_grid_point(study: optuna.Study, space: Space) -> bool:
    """Queue the first point of the grid that nothing is known of, unless points wait.

    False if there is neither: the grid is exhausted.
    """
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.WAITING for trial in trials):
        return True
    known = [trial.params for trial in trials]
    point = next((point for point in space.grid() if point not in known), None)
    if point is not None:
        study.enqueue_trial(point)
    return point is not None
