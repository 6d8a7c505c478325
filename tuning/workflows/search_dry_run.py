"""What a search would do and cost, without starting it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import torch
from optuna.trial import TrialState

from tuning.config.schema import Task
from tuning.config.search import SearchLaunchConfig
from tuning.display.comparison_table import ResultTable
from tuning.display.formatting import format_count, format_duration, settings_text, written
from tuning.display.table import Table, row
from tuning.launch.open_dataset import Log, open_prepared
from tuning.search.distributions import decoded, described
from tuning.search.plan import SearchPlan, plan_search
from tuning.search.rung_sampler import make_space_sampler, startup_trials
from tuning.search.samplers import enqueue_grid_point, seed_of
from tuning.search.stopping import make_promotion, rungs
from tuning.search.study import quiet
from tuning.search.trained import fit_of, trained
from tuning.search.warm_start import WarmStart, feed_known
from tuning.training.config import FitConfig
from tuning.training.data import TaskData, load_task_data
from tuning.training.devices import bfloat16_unit, pick_device
from tuning.training.loop import fit
from tuning.workflows.search_study import enqueue, informed

_SUGGESTIONS = 5
_SPACE = ("key", "values", "when")
_TIMED_PICTURES = 100
_TIMED_EPOCHS = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a search's trials would take if none is stopped early: hours of one `device`.

    These are None where nothing was timed. `expected_epochs` are those with the scheduler, None
    where it has no rungs. `bfloat16` is how many times as fast the trials are in it, None where it
    cannot pay.
    """

    trials: int
    epochs: int
    expected_epochs: int | None = None
    device: str | None = None
    seconds_per_epoch: float | None = None
    hours: float | None = None
    bfloat16: float | None = None


@dataclasses.dataclass(frozen=True)
class DryRunTable(ResultTable):
    """The space, the first suggestions, and the cost."""

    plan: SearchPlan
    suggestions: Sequence[dict[str, Any]]
    known: WarmStart
    cost: Cost

    def tables(self) -> list[Table]:
        space = tuple(row(*texts) for texts in self._space())
        suggestions = tuple(
            row(str(number), settings_text(values))
            for number, values in enumerate(self.suggestions, start=self.known.taken)
        )
        head, *columns = _SPACE
        notes = tuple(self._notes())
        return [
            Table("search space", head, tuple(columns), space, left=columns),
            Table(
                *("first suggestions", "trial", ("settings",), suggestions, notes),
                left=("settings",),
            ),
        ]

    def to_json(self) -> dict[str, Any]:
        search = self.plan.search
        return {
            "type": "dry run",
            "space": [dict(zip(_SPACE, texts, strict=True)) for texts in self._space()],
            "objectives": [str(objective) for objective in self.plan.objectives],
            "sampler": search.sampler,
            "scheduler": search.chosen_scheduler,
            "suggestions": list(self.suggestions),
            "known": self.known.taken,
            "outside": self.known.outside,
            "cost": dataclasses.asdict(self.cost),
            "limits": {
                "gpu_hours": search.budget_gpu_hours,
                "cpu_hours": search.budget_cpu_hours,
                "seconds": self.plan.config.resources.time_budget_s,
            },
        }

    def _space(self) -> list[tuple[str, str, str]]:
        space = self.plan.space
        rows = [(name, written(value), "") for name, value in space.constants.items()]
        for parameter in space.parameters:
            when = [f"{name} {' or '.join(map(str, v))}" for name, v in parameter.when.items()]
            values = described(parameter.distribution)
            if parameter.prior is not None:
                expected, confidence = parameter.prior
                values += f", prior {written(decoded(expected))} ({confidence})"
            rows.append((parameter.name, values, ", ".join(when)))
        return rows

    def _notes(self) -> list[str]:
        search, cost = self.plan.search, self.cost
        objectives = " and ".join(map(str, self.plan.objectives))
        notes = [
            f"{format_count(cost.trials, 'trial')} by {search.sampler} for {objectives}, "
            f"scheduler {search.chosen_scheduler}",
            str(self.known),
        ]
        if cost.trials < search.num_samples:
            notes.append(f"the grid has no more points: {search.num_samples} trials were requested")
        if self.suggestions:
            notes += self._cost_notes()
        if search.max_stagnation_trials:
            count = format_count(search.max_stagnation_trials, "trial")
            notes.append(f"fewer if {count} in a row do not improve the best score")
        if search.confirm:
            best, seeds = search.confirmed
            notes.append(
                f"confirmation trains the best {best} with {seeds} seeds: {best * (seeds - 1)} to "
                f"{best * seeds} more trainings, not counted here"
            )
        for name, hours in (("GPU", search.budget_gpu_hours), ("CPU", search.budget_cpu_hours)):
            if hours is not None:
                notes.append(f"at most {hours:g} {name} hours")
        if (seconds := self.plan.config.resources.time_budget_s) is not None:
            notes.append(f"at most {format_duration(seconds)} of wall time")
        return [*notes, *self.plan.advice]

    def _cost_notes(self) -> list[str]:
        cost, count = self.cost, format_count(len(self.suggestions), "suggestion")
        assumed = "if no trial is stopped early"
        # Of a grid all points are counted.
        if self.plan.search.sampler != "grid" and cost.trials > len(self.suggestions):
            assumed += f" and all are as long as the mean of {count}"
        epochs = self._epochs(cost.epochs)
        expected = []
        if cost.expected_epochs is not None:
            search = self.plan.search
            at = ", ".join(map(str, _rungs(self.plan)))
            expected = [
                f"about {self._epochs(cost.expected_epochs)} with {search.chosen_scheduler}: one "
                f"of {search.reduction_factor:g} trials goes on at each rung (epochs {at})"
            ]
        if cost.seconds_per_epoch is None:
            untimed = "--time-it trains a few epochs to measure the hours"
            if (unit := bfloat16_unit()) and self._is_float32():
                untimed += f", and what `precision: bfloat16` gains on this CPU, which has {unit}"
            return [*expected, f"{epochs}, {assumed}; {untimed}"]
        return [
            f"about {cost.seconds_per_epoch:.3g} s per epoch on one {cost.device} (measured on "
            f"{count})",
            *expected,
            f"{epochs}, {assumed}",
            *self._bfloat16_notes(),
        ]

    def _bfloat16_notes(self) -> list[str]:
        factor = self.cost.bfloat16
        if factor is None:
            return []
        return [f"with `precision: bfloat16`, {factor:.2g} times as fast on this CPU (measured)"]

    def _is_float32(self) -> bool:
        return "precision" not in self.plan.space.dimensions

    def _epochs(self, count: int) -> str:
        """Write a number of epochs, and their time if it is known."""
        epochs, seconds = format_count(count, "epoch"), self.cost.seconds_per_epoch
        if seconds is None:
            return epochs
        return f"{epochs} ({format_duration(count * seconds)} of one {self.cost.device})"


def dry_run_table(
    task: Task,
    config: SearchLaunchConfig,
    log: Log | None = None,
    *,
    strict_points: bool = False,
    time_it: bool = False,
) -> DryRunTable:
    """Draw the first suggestions of the search; with `time_it`, train short epochs of each.

    Raises the errors that starting it would raise; makes neither launch nor study nor runs.
    """
    dataset = open_prepared(config.data, log)
    config = informed(task, config, dataset)
    plan = plan_search(task, config, dataset.size, strict_points=strict_points)
    with quiet():
        study = optuna.create_study(directions=[o.direction for o in plan.objectives])
    known = WarmStart(0, 0)
    if plan.search.warm_start:
        known = feed_known(study, plan, dataset.digest, runs={})
    enqueue(study, plan.space, plan.points)
    is_grid = plan.search.sampler == "grid"
    # Of a grid all points that the search would try: their number is its cost.
    most = plan.search.num_samples if is_grid else min(_SUGGESTIONS, plan.search.num_samples)
    suggestions: list[dict[str, Any]] = []
    comparable = _comparable(study, plan)
    with quiet():
        while len(suggestions) < most:
            if is_grid and not enqueue_grid_point(study, plan.space):
                break
            seed = seed_of(plan.seed, len(suggestions))
            study.sampler = make_space_sampler(plan.search, seed, plan.space, *comparable)
            suggestions.append(plan.space.sample(study.ask()))
    trials = len(suggestions) if is_grid else plan.search.num_samples
    fits = [plan.space.fit_config(values) for values in suggestions]
    epochs = round(trials * _mean([fit.epochs for fit in fits]))
    cost = Cost(trials, epochs, expected_epochs(plan, fits, trials))
    if time_it:
        data = load_task_data(dataset, task, planes=plan.space.needs_planes)
        cost = _timed(cost, fits[:_SUGGESTIONS], data)
    shown = [plan.space.chosen(values) for values in suggestions[:_SUGGESTIONS]]
    return DryRunTable(plan, shown, known, cost)


def _comparable(study: optuna.Study, plan: SearchPlan) -> tuple[Mapping[int, float], float]:
    """What the sampler learns from known results, and the sign of the objective."""
    sign = plan.objectives[0].sign
    promotion = make_promotion(plan.search, plan.space.most_epochs)
    known = [trial for trial in study.trials if trial.state.is_finished()]
    if promotion is None:
        ended = [trial for trial in known if trial.state == TrialState.COMPLETE]
        return {trial.number: sign * trial.values[0] for trial in ended}, sign
    all_trained = [trained(each, fit_of(each, plan), plan, promotion) for each in known]
    start = startup_trials(plan.search, plan.space.parameters)
    return promotion.comparable(all_trained, start), sign


def expected_epochs(plan: SearchPlan, fits: Sequence[FitConfig], trials: int) -> int | None:
    """Estimate the epochs of so many trials that are as `fits`; None without rungs.

    Of those that have reached a rung, one of `reduction_factor` goes on, and at least one.
    """
    promotion = make_promotion(plan.search, plan.space.most_epochs)
    factor, checked = plan.search.reduction_factor, _rungs(plan)
    if not (checked and fits):
        return None
    each = []
    for number, config in enumerate(fits):
        warmup = config.warmup * config.epochs if config.schedule == "onecycle" else 0.0
        since = promotion.judged_from(number, warmup, config.epochs) if promotion else 1
        ends = [*(rung for rung in checked if since <= rung < config.epochs), config.epochs]
        spans = [end - begin for begin, end in itertools.pairwise([0, *ends])]
        shares = [max(factor**-passed, 1 / trials) for passed in range(len(spans))]
        each.append(sum(span * share for span, share in zip(spans, shares, strict=True)))
    return round(trials * _mean(each))


def _rungs(plan: SearchPlan) -> Sequence[int]:
    """The epochs at which trials pause or stop."""
    longest = plan.space.most_epochs
    if (promotion := make_promotion(plan.search, longest)) is not None:
        return promotion.rungs
    return [rung for rung in rungs(plan.search, longest) if rung < longest]


def _timed(cost: Cost, suggested: Sequence[FitConfig], data: TaskData) -> Cost:
    """Add the time: the mean of the suggestions, for all epochs; without suggestions it is 0.

    They are trained on a GPU if there is one, else on one CPU core.
    """
    device = pick_device("auto")
    seconds = _mean([_seconds_per_epoch(config, data, device) for config in suggested])
    name = "GPU" if device == "cuda" else "core"
    hours = cost.epochs * seconds / 3600
    factor = None
    if device == "cpu" and bfloat16_unit() and {fit.precision for fit in suggested} == {"float32"}:
        halved = [dataclasses.replace(fit, precision="bfloat16") for fit in suggested]
        factor = seconds / _mean([_seconds_per_epoch(config, data, device) for config in halved])
    return dataclasses.replace(
        cost, device=name, seconds_per_epoch=seconds, hours=hours, bfloat16=factor
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _seconds_per_epoch(config: FitConfig, data: TaskData, device: str) -> float:
    """Time short epochs of a training, scaled to the number of pictures."""
    count = min(len(data.train), max(_TIMED_PICTURES, config.batch_size))
    arrays = {name: getattr(data.train, name) for name in ("L", "a", "b", "mean_ab")}
    first: dict[str, Any] = {
        name: None if array is None else array[:count] for name, array in arrays.items()
    }
    train = dataclasses.replace(data.train, origin=None, **first)
    short = dataclasses.replace(config, milestones=(_TIMED_EPOCHS,), eval_every=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a trial
    try:
        started = time.perf_counter()
        results = fit(short, dataclasses.replace(data, train=train), device=device)
        seconds = [float(result.record["seconds"]) for result in results]
        elapsed = time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
    # The first epoch warms up. Each validation uses all of its pictures.
    validation = (elapsed - sum(seconds)) / len(seconds)
    return min(seconds[1:]) * len(data.train) / count + validation
