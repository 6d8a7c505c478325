"""Warm start: trainings of other launches on the same data are known to a new search."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import optuna
from optuna.trial import TrialState

from tuning.display.formatting import format_count
from tuning.launch.folder import Launch, list_launches
from tuning.launch.outcomes import cell_outcomes
from tuning.launch.records import CellRecord, read_cell
from tuning.search.objectives import best_so_far
from tuning.search.plan import SearchPlan
from tuning.search.study import quiet
from tuning.search.study_checks import KNOWN
from tuning.training.config import FitConfig


@dataclasses.dataclass(frozen=True)
class WarmStart:
    """How many known results were added to a study, and how many lie outside its space."""

    taken: int
    outside: int

    def __str__(self) -> str:
        outside = f"; {self.outside} on this dataset are outside the space" if self.outside else ""
        return f"starts with {format_count(self.taken, 'earlier result')}{outside}"


def feed_known(
    study: optuna.Study,
    plan: SearchPlan,
    dataset_digest: str,
    runs: Mapping[tuple[str, str], str],
) -> WarmStart:
    """Add every finished or pruned cell under the storage path that lies in the space, once.

    Their scores at each validated epoch are those of a trial: a scheduler compares with them. Of
    several objectives a pruned trial has no values, and is left out.
    `runs` maps launch and cell ids to the ids of their MLflow runs, which are stored with the
    results. Only trainings from random weights count.
    """
    space = plan.space
    known = {trial.user_attrs.get(KNOWN) for trial in study.get_trials(deepcopy=False)}
    distributions = {parameter.name: parameter.distribution for parameter in space.parameters}
    taken = outside = 0
    is_single = len(plan.objectives) == 1
    outcomes = ("finished", "pruned") if is_single else ("finished",)
    launches = [
        launch
        for launch in list_launches(plan.config.storage_path)
        if launch.task == space.task and launch.document["dataset_digest"] == dataset_digest
    ]
    for launch, record, fit in ended_cells(launches, outcomes):
        key = f"{launch.launch_id}/{record.cell_id}"
        if key in known:
            continue
        params = space.locate(fit)
        values = record.values
        if params is None or any(objective.name not in values for objective in plan.objectives):
            outside += 1
            continue
        attrs = {KNOWN: key, "outcome": KNOWN, "figures": values}
        if run_id := runs.get((launch.launch_id, record.cell_id)):
            attrs["run_id"] = run_id
        is_pruned = record.outcome == "pruned"
        scores = best_so_far(record.history, plan.objectives[0]) if is_single else {}
        with quiet():
            trial = optuna.trial.create_trial(
                state=TrialState.PRUNED if is_pruned else TrialState.COMPLETE,
                values=[values[objective.name] for objective in plan.objectives],
                intermediate_values=scores,
                params=params,
                distributions={name: distributions[name] for name in params},
                user_attrs=attrs,
            )
            study.add_trial(trial)
        taken += 1
    return WarmStart(taken, outside)


def ended_cells(
    launches: Iterable[Launch], outcomes: Sequence[str]
) -> Iterator[tuple[Launch, CellRecord, FitConfig]]:
    """Yield the cells of launches with these outcomes, of trainings from random weights."""
    for launch in launches:
        for cell in cell_outcomes(launch, {}):
            training = cell.training
            if cell.outcome not in outcomes or training.initial_weights is not None:
                continue
            record = read_cell(launch.storage, training.training_id, cell.cell_id)
            assert record is not None, "its outcome was read from it"
            fit = dataclasses.replace(training.fit, milestones=(cell.epochs,))
            yield launch, record, fit
