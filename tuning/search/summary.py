"""The results of a search, read from the study and the launch folder."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from tuning.config.schema import TrainConfig, TrainingConfig
from tuning.launch.folder import Launch
from tuning.launch.launch_json import TRAINING
from tuning.launch.records import read_cell, read_failure
from tuning.launch.trainings import Training
from tuning.search.distributions import decoded
from tuning.search.objectives import Objective
from tuning.search.study_checks import KNOWN


@dataclasses.dataclass(frozen=True)
class TrialSummary:
    """One trial of a search.

    `outcome` is finished, pruned, stopped, paused, running, diverged, failed or known. `values` are
    the objectives of the state that it left, () without one; `epochs` is the number of trained
    epochs.
    """

    number: int
    name: str
    params: Mapping[str, Any]
    outcome: str
    values: tuple[float, ...] = ()
    kept_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    training: Training | None = None

    @property
    def is_known(self) -> bool:
        """Whether it is a result of another launch."""
        return self.outcome == KNOWN


def summaries(
    launch: Launch, study: optuna.Study, objectives: Sequence[Objective]
) -> list[TrialSummary]:
    """Every trial of the study that has been asked for, in the order of their numbers."""
    return [
        _summary(launch, trial, objectives)
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
    ]


def ranked(trials: Sequence[TrialSummary], objective: Objective) -> list[TrialSummary]:
    """The trials that left a state, the best first; among equals the earlier."""
    scored = [trial for trial in trials if trial.values and math.isfinite(trial.values[0])]
    return sorted(scored, key=lambda trial: (-objective.sign * trial.values[0], trial.number))


def pareto_set(
    trials: Sequence[TrialSummary], objectives: Sequence[Objective]
) -> list[TrialSummary]:
    """The trials that no other dominates, the best by the first objective first.

    With one objective, these are the best trial and its equals.
    """
    scored = ranked(trials, objectives[0])
    return [trial for trial in scored if not any(_dominates(o, trial, objectives) for o in scored)]


def train_file(launch: Launch, best: TrialSummary, training: Training) -> str:
    """Write the configuration of a training as YAML for `chromatune train -c FILE`.

    It contains everything that decides the results: the training is repeated exactly.
    """
    fit = dataclasses.asdict(training.fit) | {"epochs": training.epochs}
    fit["validate_at"] = list(training.fit.validate_at)
    train = {
        option.name: fit[option.name]
        for option in dataclasses.fields(TrainConfig)
        if option.name in fit and fit[option.name] not in (option.default, {}, [])
    }
    content: dict[str, Any] = {
        "train": train,
        "training": {name: fit[name] for name in TrainingConfig.model_fields},
        "data": launch.config.data.model_dump(mode="json"),
    }
    if code := launch.code_files():
        content["import"] = code
    figure = ", ".join(f"{value:.6g}" for value in best.values)
    head = [
        f"# The best of {launch.launch_id}: trial {best.number}, {figure} on val after "
        f"{best.kept_epoch} of {training.epochs} epochs.",
        "#",
        "#   chromatune train -c best.yaml",
    ]
    return "\n".join(head) + "\n" + yaml.safe_dump(content, sort_keys=False)


def _dominates(a: TrialSummary, b: TrialSummary, objectives: Sequence[Objective]) -> bool:
    own, other = ([o.sign * v for o, v in zip(objectives, t.values, strict=True)] for t in (a, b))
    return own != other and all(map(operator.ge, own, other))


def _summary(launch: Launch, trial: FrozenTrial, objectives: Sequence[Objective]) -> TrialSummary:
    attrs = trial.user_attrs
    summary = TrialSummary(
        number=trial.number,
        name=str(attrs.get("training_id") or attrs.get(KNOWN) or f"trial {trial.number}"),
        params={key: decoded(value) for key, value in trial.params.items()},
        outcome=str(attrs.get("outcome", "running")),
        values=_values(attrs.get("figures"), objectives),
        kept_epoch=attrs.get("kept_epoch"),
    )
    path = f"{summary.name}/{TRAINING}"
    if summary.is_known or not launch.storage.exists(path):
        return summary
    training = Training.from_dict(launch.storage.read_json(path))
    # The launch folder is ahead of the study, and has the whole history.
    details: dict[str, Any] = {}
    cell = read_cell(launch.storage, summary.name, training.cells[0].cell_id)
    failure = read_failure(launch.storage, summary.name)
    history = cell.history if cell else failure.history if failure else []
    if cell is not None:
        details = {
            "outcome": cell.outcome,
            "values": _values(cell.values, objectives),
            "kept_epoch": cell.kept_epoch,
        }
    return dataclasses.replace(
        summary,
        training=training,
        epochs=history[-1]["epoch"] if history else 0,
        seconds=cell.seconds if cell else math.fsum(record["seconds"] for record in history),
        **details,
    )


def _values(has: Mapping[str, float] | None, objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(has[objective.name] for objective in objectives) if has else ()
