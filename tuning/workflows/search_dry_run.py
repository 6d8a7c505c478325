"""What a search would do and cost, without starting it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import optuna

from tuning.config.schema import Task
from tuning.config.search import SearchLaunchConfig
from tuning.display.formatting import format_count, format_duration
from tuning.display.result_tables import ResultTable
from tuning.display.table import Table, row
from tuning.launch.datasets import open_prepared
from tuning.search.distributions import described
from tuning.search.grid_points import enqueue_grid_point
from tuning.search.plan import SearchPlan, plan_search
from tuning.search.samplers import make_sampler, seed_of
from tuning.search.space_file import needs_planes
from tuning.search.stopping import rungs
from tuning.search.study import quiet
from tuning.search.trial_settings import settings_text, written
from tuning.search.warm_start import feed_known
from tuning.training.data import load_task_data
from tuning.workflows.search_cost import Cost, search_cost
from tuning.workflows.search_study import enqueue

_SUGGESTIONS = 5


@dataclasses.dataclass(frozen=True)
class DryRunTable(ResultTable):
    """The space, the first suggestions, and the cost."""

    plan: SearchPlan
    suggestions: Sequence[dict[str, Any]]
    known: int
    outside: int
    cost: Cost

    def tables(self) -> list[Table]:
        space = [row(*texts) for texts in self._space()]
        first = [
            row(str(self.known + number), settings_text(values))
            for number, values in enumerate(self.suggestions)
        ]
        words = ("values", "when")
        return [
            Table("search space", "parameter", words, tuple(space), left=words),
            Table(
                *("first suggestions", "trial", ("settings",), tuple(first), tuple(self._lines())),
                left=("settings",),
            ),
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "dry run",
            "space": [
                dict(zip(("key", "values", "when"), row, strict=True)) for row in self._space()
            ],
            "objectives": [str(objective) for objective in self.plan.objectives],
            "sampler": self.plan.search.sampler,
            "scheduler": self.plan.search.chosen_scheduler,
            "suggestions": [dict(values) for values in self.suggestions],
            "known": self.known,
            "outside": self.outside,
            "cost": {
                **dataclasses.asdict(self.cost),
                "hours": self.cost.hours,
                "cut_hours": self.cost.cut_hours,
            },
            "limits": {
                "gpu_hours": self.plan.search.budget_gpu_hours,
                "cpu_hours": self.plan.search.budget_cpu_hours,
                "seconds": self.plan.config.resources.time_budget_s,
            },
        }

    def _space(self) -> list[tuple[str, str, str]]:
        space = self.plan.space
        rows = [(name, written(value), "") for name, value in space.constants.items()]
        for one in space.parameters:
            when = ", ".join(
                f"{name} {' or '.join(map(str, wanted))}" for name, wanted in one.when.items()
            )
            rows.append((one.name, described(one.distribution), when))
        return rows

    def _lines(self) -> list[str]:
        search, cost = self.plan.search, self.cost
        objectives = " and ".join(map(str, self.plan.objectives))
        lines = [
            f"{format_count(cost.trials, 'trial')} by {search.sampler} for {objectives}, "
            f"scheduler {search.chosen_scheduler}",
            f"begins with {format_count(self.known, 'earlier result')}"
            + (f"; {self.outside} lie outside the space" if self.outside else ""),
        ]
        if cost.trials < search.num_samples:
            lines.append(f"the grid has no more that is new: {search.num_samples} are asked for")
        if self.suggestions:
            lines += [
                f"about {cost.seconds_per_epoch:.3g} s an epoch on one {cost.device} (timed now, "
                f"on {format_count(len(self.suggestions), 'suggestion')})",
                f"{format_count(cost.epochs, 'epoch')} or {format_duration(cost.hours * 3600)} of "
                f"one {cost.device} if nothing is cut short",
            ]
        if cost.cut_epochs < cost.epochs:
            lines.append(
                f"about {cost.cut_epochs:.0f} epochs or {format_duration(cost.cut_hours * 3600)} "
                f"with {search.chosen_scheduler} at epochs "
                f"{', '.join(map(str, rungs(search, self.plan.space.most_epochs)))}"
            )
        for name, hours in (("GPU", search.budget_gpu_hours), ("CPU", search.budget_cpu_hours)):
            if hours is not None:
                lines.append(f"at most {hours:g} {name} hours")
        if (seconds := self.plan.config.resources.time_budget_s) is not None:
            lines.append(f"at most {format_duration(seconds)} by the clock")
        return [*lines, *self.plan.advice]


def dry_run_table(task: Task, config: SearchLaunchConfig) -> DryRunTable:
    """Draw the first suggestions that the search would make, and time epochs of each.

    The same errors as when the search is begun; neither launch nor study nor runs are made.
    """
    dataset = open_prepared(config.data)
    plan = plan_search(task, config, dataset.size)
    data = load_task_data(dataset, task, planes=needs_planes(plan.space))
    with quiet():
        study = optuna.create_study(directions=[one.direction for one in plan.objectives])
    known = outside = 0
    if plan.search.warm_start:
        fed = feed_known(
            study, plan.space, plan.objectives, config.storage_path, dataset.digest, runs={}
        )
        known, outside = fed.taken, fed.outside
    enqueue(study, plan.space, plan.search.points)
    suggestions = _suggested(plan, study)
    trials = plan.search.num_samples if plan.search.sampler != "grid" else len(suggestions)
    fits = [plan.space.fit_config(values) for values in suggestions]
    cost = search_cost(plan, trials, fits, fits[:_SUGGESTIONS], data)
    shown = [
        {name: values[name] for name in plan.space.names if name in values}
        for values in suggestions[:_SUGGESTIONS]
    ]
    return DryRunTable(plan, shown, known, outside, cost)


def _suggested(plan: SearchPlan, study: optuna.Study) -> list[dict[str, Any]]:
    """The first suggestions; of a grid everything that the search would try."""
    is_grid = plan.search.sampler == "grid"
    most = plan.search.num_samples if is_grid else min(_SUGGESTIONS, plan.search.num_samples)
    suggestions: list[dict[str, Any]] = []
    with quiet():
        while len(suggestions) < most:
            if is_grid and not enqueue_grid_point(study, plan.space):
                break
            study.sampler = make_sampler(plan.search, seed_of(plan.seed, len(suggestions)))
            suggestions.append(plan.space.sample(study.ask()))
    return suggestions
