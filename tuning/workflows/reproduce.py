"""Everything in one command: prepare, grids, finals, promotion, fine-tuning, report."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.console import Console

from data_prep import PreparedDataset, prepare
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
    Task,
    resolve,
)
from tuning.display.comparison_table import ResultTable
from tuning.display.published import PublishedResult, published_results
from tuning.display.steps import step_progress
from tuning.launch.folder import Launch
from tuning.launch.open_dataset import local_root, open_prepared, prepare_settings
from tuning.launch.outcomes import LaunchOutcome
from tuning.report import build_report, write_report
from tuning.tracking.reader import read_store
from tuning.tracking.registry.catalog import find_champion
from tuning.tracking.registry.promotion import Promotion, best_cell, promote
from tuning.training.options import Positive
from tuning.workflows.finals import run_finals
from tuning.workflows.finetune import conclude as conclude_finetune
from tuning.workflows.finetune import run_finetune
from tuning.workflows.grid import run_grid
from tuning.workflows.launch_results import Conclusion
from tuning.workflows.resume import conclude
from tuning.workflows.run_launch import Session
from tuning.workflows.test_results import promotion_table


class ReproduceConfig(LaunchConfig):
    """Grids and finals train on `data`; the champions are fine-tuned on `target`.

    `grids` has the differences from the published grid of each task; `epoch_scale` multiplies the
    epochs of the grids. Without `finals`, the single trainings are left out. With
    `finetune_published`, the models of Tables V and VI are fine-tuned beside the champions. With
    `force`, a first champion need not beat the constant predictor.
    """

    target: DataConfig = DataConfig(dataset="ncd")
    grids: dict[Task, dict[str, Any]] = Field(
        default_factory=lambda: {task: dict[str, Any]() for task in TASKS}, min_length=1
    )
    epoch_scale: Positive | None = None
    finals: FinalsConfig | None = FinalsConfig()
    finetune: FinetuneConfig = FinetuneConfig(compare_scratch=True)
    finetune_published: bool = False
    force: bool = False

    def for_launch(self, **sections: Any) -> dict[str, Any]:
        """The sections that all launches have, and `sections`."""
        return {name: getattr(self, name) for name in LaunchConfig.model_fields} | sections


@dataclasses.dataclass(frozen=True)
class Step:
    """The results of a finished step: a line, or a table with what the gate decided.

    `advice` says what is missing, and what to do about it.
    """

    line: str = ""
    table: ResultTable | None = None
    promotion: Promotion | None = None
    advice: Sequence[str] = ()
    succeeded: bool = True
    interrupted: bool = False


@dataclasses.dataclass(frozen=True)
class Job:
    """All steps of `chromatune reproduce`.

    `sources` has the folders of datasets; others are downloaded or drawn. What an earlier call has
    finished is not done again, what it has begun is resumed.
    """

    config: ReproduceConfig
    sources: Mapping[str, str]
    tracking_uri: str
    console: Console
    on_begin: Callable[[Launch], None] | None = None

    def run(self) -> Iterator[Step]:
        """Yield each step as it ends; stop early if the user interrupts one.

        Raises ChromatuneError as the single commands do.
        """
        steps = list(self._steps())
        with contextlib.ExitStack() as stack:
            if self.config.resources.backend != "serial":
                from tuning.backend.cluster import lasting  # imports Ray

                stack.enter_context(lasting())
            for number, (title, run_step) in enumerate(steps, start=1):
                self.console.rule(f"[bold]{number}/{len(steps)}  {title}", align="left")
                step = run_step()
                yield step
                if step.interrupted:
                    return

    def report(self, folder: Path) -> list[Path]:
        """Write the report on the job's data into `folder`, and return its files.

        Raises ChromatuneError if the store cannot be read or the folder cannot be written.
        """
        store, archive = read_store(self.tracking_uri)
        data, target = (
            f"{dataset.name}@{dataset.digest}"
            for dataset in map(open_prepared, (self.config.data, self.config.target))
        )
        return write_report(build_report(store, archive, dataset=data, target=target), folder)

    def _steps(self) -> Iterator[tuple[str, Callable[[], Step]]]:
        """Title and function of every step."""
        config = self.config
        for data in (config.data, config.target):
            yield f"prepare {data.dataset}", partial(self._prepare, data)
        for task in config.grids:
            yield f"grid {task}", partial(self._grid, task)
        for task in config.grids if config.finals else ():
            yield f"finals {task}", partial(self._finals, task)
        for task in config.grids:
            yield f"promote {task}", partial(self._promote, task)
        for task in config.grids:
            yield f"finetune {task} on {config.target.dataset}", partial(self._finetune, task)
            for row in published_results("ncd", task) if config.finetune_published else ():
                title = f"finetune {row.name} on {config.target.dataset}"
                yield title, partial(self._finetune_published, task, row)

    def _prepare(self, data: DataConfig) -> Step:
        source = self.sources.get(data.dataset)
        with step_progress(self.console) as progress:
            prepared = prepare(
                *(prepare_settings(data), local_root(data)), source=source, progress=progress
            )
        return Step(prepared.summary)

    def _grid(self, task: Task) -> Step:
        grid = {"epoch_scale": self.config.epoch_scale, **self.config.grids[task]}
        launch = self.config.model_dump(include=set(LaunchConfig.model_fields), exclude_unset=True)
        config = resolve(GridLaunchConfig, defaults=launch | {"grid": REPORT_GRIDS[task] | grid})
        return self._concluded(run_grid(task, config, self._session))

    def _finals(self, task: Task) -> Step:
        config = FinalsLaunchConfig(**self.config.for_launch(finals=self.config.finals))
        (outcome,) = run_finals([task], config, self._session)
        return self._concluded(outcome)

    def _promote(self, task: Task) -> Step:
        return self._through_gate(open_prepared(self.config.data), task, None)

    def _finetune(self, task: Task) -> Step:
        source = self.config.data.dataset
        if find_champion(self.tracking_uri, source, task) is None:
            line = f"{source} has no {task} champion: fine-tuning is left out"
            return Step(line, succeeded=False)
        outcome = self._finetuned(task)
        step = self._concluded(outcome)
        if step.promotion is None or step.promotion.passed or not self.config.force:
            return step
        target = open_prepared(self.config.target)
        forced = self._through_gate(target, task, step.promotion.cell.run_id)
        return dataclasses.replace(
            step,
            promotion=forced.promotion,
            succeeded=outcome.complete and forced.succeeded,
        )

    def _finetune_published(self, task: Task, row: PublishedResult) -> Step:
        """Fine-tune the best training of a published model, unless it is the champion.

        It is measured, but neither compared with training from scratch nor promoted on the target:
        that is for the champion.
        """
        data = open_prepared(self.config.data)
        champion = find_champion(self.tracking_uri, data.name, task)
        network = (row.model, row.head)
        best = best_cell(self.tracking_uri, data.digest, task, network=network)
        if best is None:
            line = f"{row.name} has not been trained on {data.name}: fine-tuning is left out"
            return Step(line, succeeded=False)
        if champion is not None and champion.run_id == best.run_id:
            return Step(f"{row.name} is the champion: it has been fine-tuned")
        outcome = self._finetuned(task, model=best.model_uri, compare_scratch=False)
        found = conclude_finetune(outcome, self.tracking_uri, promotes=False)
        return _step(outcome, found)

    def _finetuned(self, task: Task, **changes: Any) -> LaunchOutcome:
        source = self.config.data.dataset
        finetune = self.config.finetune.model_copy(update={"source": source, **changes})
        sections = self.config.for_launch(data=self.config.target, finetune=finetune)
        return run_finetune(task, FinetuneLaunchConfig(**sections), self._session)

    def _through_gate(self, dataset: PreparedDataset, task: Task, run_id: str | None) -> Step:
        is_first = find_champion(self.tracking_uri, dataset.name, task) is None
        force = self.config.force and is_first
        promotion = promote(dataset, task, self.tracking_uri, run_id=run_id, force=force)
        table = promotion_table(promotion, task)
        return Step(table=table, promotion=promotion, succeeded=promotion.passed)

    def _concluded(self, outcome: LaunchOutcome) -> Step:
        return _step(outcome, conclude(outcome, self.tracking_uri))

    @property
    def _session(self) -> Session:
        return Session(
            *(self.tracking_uri, self.console, self.on_begin),
            reuse=True,
            notify=self.config.notify,
        )


def _step(outcome: LaunchOutcome, found: Conclusion) -> Step:
    return Step(
        *("", found.table, found.promotion, found.advice),
        succeeded=found.succeeded,
        interrupted=outcome.interrupted,
    )
