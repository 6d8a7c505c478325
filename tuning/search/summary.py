"""What a search has found: its trials, read off the study and the launch folder."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuning.launch.folder import TRAINING, Launch
from tuning.launch.records import read_cell, read_failure
from tuning.launch.trainings import Training
from tuning.search.distributions import decoded
from tuning.search.objectives import Objective
from tuning.search.warm_start import KNOWN


@dataclasses.dataclass(frozen=True)
class TrialSummary:
    """One trial: `outcome` is finished, pruned, stopped, running, diverged, failed or known.

    `values` are those of the state it left, one an objective, none if it left none. `curve` maps
    epochs to the first objective as it was then; `epochs` is how far it was trained.
    """

    number: int
    name: str
    params: Mapping[str, Any]
    outcome: str
    values: tuple[float, ...] = ()
    kept_epoch: int | None = None
    epochs: int = 0
    planned_epochs: int = 0
    seconds: float = 0.0
    curve: Mapping[int, float] = dataclasses.field(default_factory=dict)
    message: str = ""
    training: Training | None = None

    def best_so_far(self, objective: Objective) -> dict[int, float]:
        """After each validation, the best value of the first objective until then."""
        scores: dict[int, float] = {}
        best = math.nan
        for epoch in sorted(self.curve):
            if objective.better(self.curve[epoch], best):
                best = self.curve[epoch]
            scores[epoch] = best
        return scores

    @property
    def is_known(self) -> bool:
        """Whether it came from another launch and was not searched for."""
        return self.outcome == KNOWN


def summaries(
    launch: Launch, study: optuna.Study, objectives: Sequence[Objective]
) -> list[TrialSummary]:
    """Every trial of the study in the order of their numbers, but those that only wait."""
    return [
        _summary(launch, trial, objectives)
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
    ]


def ranked(trials: Sequence[TrialSummary], objective: Objective) -> list[TrialSummary]:
    """The trials that left a state, the best first; of equals the earlier."""
    scored = [trial for trial in trials if trial.values and math.isfinite(trial.values[0])]
    sign = -1 if objective.maximize else 1
    return sorted(scored, key=lambda trial: (sign * trial.values[0], trial.number))


def pareto_set(
    trials: Sequence[TrialSummary], objectives: Sequence[Objective]
) -> list[TrialSummary]:
    """The trials that no other beats in every objective, the best by the first objective first.

    With one objective that is the best trial, and those that equal it.
    """
    scored = ranked(trials, objectives[0])
    return [one for one in scored if not any(_beats(other, one, objectives) for other in scored)]


def _beats(one: TrialSummary, other: TrialSummary, objectives: Sequence[Objective]) -> bool:
    pairs = list(zip(objectives, one.values, other.values, strict=True))
    return all(not objective.better(b, a) for objective, a, b in pairs) and any(
        objective.better(a, b) for objective, a, b in pairs
    )


def _summary(launch: Launch, trial: FrozenTrial, objectives: Sequence[Objective]) -> TrialSummary:
    attrs = trial.user_attrs
    name = str(attrs.get("training_id") or attrs.get(KNOWN) or f"trial {trial.number}")
    summary = TrialSummary(
        number=trial.number,
        name=name,
        params={key: decoded(value) for key, value in trial.params.items()},
        outcome=str(attrs.get("outcome", "running")),
        values=_values(attrs.get("figures"), objectives),
        kept_epoch=attrs.get("kept_epoch"),
        message=str(attrs.get("message", "")),
    )
    if summary.is_known or not launch.storage.exists(f"{name}/{TRAINING}"):
        return summary
    training = Training.from_dict(launch.storage.read_json(f"{name}/{TRAINING}"))
    return _with_folder(launch, summary, training, objectives)


def _with_folder(
    launch: Launch, summary: TrialSummary, training: Training, objectives: Sequence[Objective]
) -> TrialSummary:
    """Add what the launch folder knows: it is ahead of the study, and has the whole history."""
    details: dict[str, Any] = {"training": training, "planned_epochs": training.epochs}
    history: list[dict[str, Any]] = []
    cell = read_cell(launch.storage, summary.name, training.cells[0].cell_id)
    failure = read_failure(launch.storage, summary.name)
    if cell is not None:
        history = cell.history
        details |= {
            "outcome": cell.outcome,
            "values": _values(cell.values, objectives),
            "kept_epoch": cell.kept_epoch,
            "seconds": cell.seconds,
        }
    elif failure is not None:
        history = failure.history
        details["seconds"] = math.fsum(record["seconds"] for record in history)
    first = objectives[0].name
    details["curve"] = {record["epoch"]: record[first] for record in history if first in record}
    details["epochs"] = history[-1]["epoch"] if history else 0
    return dataclasses.replace(summary, **details)


def _values(has: Mapping[str, float] | None, objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(has[objective.name] for objective in objectives) if has else ()
