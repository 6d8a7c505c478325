"""The whole job: pictures in, promoted and fine-tuned models out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.console import Console

from data_prep import prepare
from tuning.backend.cluster import lasting
from tuning.config.schema import (
    REPORT_GRIDS,
    TASKS,
    DataConfig,
    FinalsConfig,
    FinalsLaunchConfig,
    FinetuneConfig,
    FinetuneLaunchConfig,
    GridLaunchConfig,
    LaunchConfig,
    Positive,
    Task,
    resolve,
)
from tuning.display.result_tables import ResultTable
from tuning.launch.datasets import open_prepared, prepare_settings
from tuning.report import Options, build_report, write_report
from tuning.tracking.reader import read_store
from tuning.tracking.registry.promotion import Promotion, promote
from tuning.workflows.conclusion import Conclusion
from tuning.workflows.evaluation import promotion_table
from tuning.workflows.finals import conclude_finals, run_finals
from tuning.workflows.finetune import conclude_finetune, run_finetune
from tuning.workflows.grid import conclude_grid, run_grid


class ReproduceConfig(LaunchConfig):
    """The whole report: grids and finals train on `data`, the champions go on to `target`.

    `grids` says for each task what differs from the report's grid; `epoch_scale` shrinks the grids'
    epochs. Without `finals` the single trainings are left out.
    """

    target: DataConfig = DataConfig(dataset="ncd")
    grids: dict[Task, dict[str, Any]] = Field(
        default_factory=lambda: {task: dict[str, Any]() for task in TASKS}, min_length=1
    )
    epoch_scale: Positive | None = None
    finals: FinalsConfig | None = FinalsConfig()
    finetune: FinetuneConfig = FinetuneConfig(compare_scratch=True)


@dataclasses.dataclass(frozen=True)
class Step:
    """One finished step of the job, with what it has to show."""

    title: str
    line: str = ""
    table: ResultTable | None = None
    promotion: Promotion | None = None
    conclusion: Conclusion | None = None

    @property
    def succeeded(self) -> bool:
        if self.conclusion is not None:
            return self.conclusion.succeeded
        return self.promotion is None or self.promotion.passed

    @property
    def interrupted(self) -> bool:
        return self.conclusion is not None and self.conclusion.outcome.interrupted


def reproduce(
    config: ReproduceConfig, *, sources: Mapping[str, str], tracking_uri: str, console: Console
) -> Iterator[Step]:
    """Do the whole job, yielding each step as it ends; ends early if the user interrupts one.

    `sources` says for each dataset where its pictures are; others are downloaded or made. A step
    that an earlier call has finished is taken from there, one that it has begun is gone on with.
    Raises ChromatuneError as the single commands do.
    """
    steps = list(_steps(config, sources, {"tracking_uri": tracking_uri, "console": console}))
    with lasting():
        for number, (title, act) in enumerate(steps, start=1):
            console.rule(f"[bold]{number}/{len(steps)}  {title}", align="left")
            step = Step(title, **act())
            yield step
            if step.interrupted:
                return


def report_on(config: ReproduceConfig, tracking_uri: str, folder: Path) -> list[Path]:
    """Write the report of the job's data into `folder`, and return its files.

    Raises ChromatuneError if the store cannot be read or the folder not be written.
    """
    store, archive = read_store(tracking_uri)
    data, target = (
        f"{dataset.name}@{dataset.digest}"
        for dataset in map(open_prepared, (config.data, config.target))
    )
    return write_report(build_report(store, archive, Options(data, target)), folder)


def _steps(
    config: ReproduceConfig, sources: Mapping[str, str], how: dict[str, Any]
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Every step's title and what it does."""
    for data in (config.data, config.target):
        yield f"prepare {data.dataset}", partial(_prepare, data, sources.get(data.dataset))
    for task in config.grids:
        yield f"grid {task}", partial(_grid, task, config, how)
    for task in config.grids if config.finals else ():
        yield f"finals {task}", partial(_finals, task, config, how)
    for task in config.grids:
        yield f"promote {task}", partial(_promote, task, config, how)
    for task in config.grids:
        name = f"finetune {task} on {config.target.dataset}"
        yield name, partial(_finetune, task, config, how)


def _prepare(data: DataConfig, source: str | None) -> dict[str, Any]:
    return {"line": prepare(prepare_settings(data), data.root, source=source).summary}


def _grid(task: Task, config: ReproduceConfig, how: dict[str, Any]) -> dict[str, Any]:
    grid = {**REPORT_GRIDS[task], "epoch_scale": config.epoch_scale, **config.grids[task]}
    launch = resolve(GridLaunchConfig, defaults={**_dumped(config), "grid": grid})
    return _concluded(conclude_grid(run_grid(task, launch, reuse=True, **how)))


def _finals(task: Task, config: ReproduceConfig, how: dict[str, Any]) -> dict[str, Any]:
    launch = FinalsLaunchConfig(**_shared(config), finals=config.finals or FinalsConfig())
    (outcome,) = run_finals([task], launch, reuse=True, **how)
    return _concluded(conclude_finals(outcome, how["tracking_uri"]))


def _promote(task: Task, config: ReproduceConfig, how: dict[str, Any]) -> dict[str, Any]:
    promotion = promote(open_prepared(config.data), task, how["tracking_uri"])
    return {"table": promotion_table(promotion, task), "promotion": promotion}


def _finetune(task: Task, config: ReproduceConfig, how: dict[str, Any]) -> dict[str, Any]:
    finetune = config.finetune.model_copy(update={"source": config.data.dataset})
    shared = _shared(config) | {"data": config.target}
    launch = FinetuneLaunchConfig(**shared, finetune=finetune)
    outcome = run_finetune(task, launch, reuse=True, **how)
    return _concluded(conclude_finetune(outcome, how["tracking_uri"]))


def _concluded(conclusion: Conclusion) -> dict[str, Any]:
    return {
        "table": conclusion.table,
        "promotion": conclusion.promotion,
        "conclusion": conclusion,
    }


def _dumped(config: ReproduceConfig) -> dict[str, Any]:
    return config.model_dump(include=set(LaunchConfig.model_fields), exclude_unset=True)


def _shared(config: ReproduceConfig) -> dict[str, Any]:
    """The sections that every launch has, as they are configured here."""
    return {name: getattr(config, name) for name in LaunchConfig.model_fields}
