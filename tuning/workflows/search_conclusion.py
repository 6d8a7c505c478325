"""What a search has come to: its table, its report in the launch folder and in MLflow."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from tuning.errors import ChromatuneError
from tuning.launch.folder import SEARCH, Launch
from tuning.launch.limits import TIME_IS_UP
from tuning.launch.outcomes import LaunchOutcome
from tuning.search.plan import plan_search
from tuning.search.summary import summaries
from tuning.search.table import SearchTable
from tuning.workflows.conclusion import Conclusion
from tuning.workflows.search_report import best_trial, write_report
from tuning.workflows.search_study import config_of, study_of


@dataclasses.dataclass(frozen=True)
class SearchConclusion(Conclusion):
    """A search's outcome and its table; `best_file` is what trains its best alone.

    That a trial was cut short or diverged is a result; that one failed is not. `problem` says why
    the report is not in MLflow.
    """

    retries_failed: ClassVar[bool] = False

    best_file: str | None = None
    problem: str | None = None

    @property
    def succeeded(self) -> bool:
        outcomes = {cell.outcome for cell in self.outcome.cells}
        is_delivered = not self.outcome.undelivered and self.problem is None
        is_whole = is_delivered and not self.outcome.interrupted
        return is_whole and "failed" not in outcomes and self.best_file is not None

    @property
    def advice(self) -> list[str]:
        lines = super().advice
        ended_by = self.outcome.ended_by
        if ended_by is not None:
            launch = self.outcome.launch
            more = f"chromatune search {launch.task} --extend {launch.found_by} --budget-…-hours N"
            if ended_by == TIME_IS_UP:  # which begins anew with each command
                more = f"chromatune resume {launch.found_by}"
            kept = "the best until then is kept" if self.best_file else "no trial has a result yet"
            lines = [line for line in lines if not line.startswith("stopped; ")]
            lines.append(f"{ended_by}: {kept}; `{more}` continues")
        if self.problem is not None:
            lines.append(self.problem)
        if self.best_file is not None:
            lines.append(f"train the best alone: `chromatune train -c {self.best_file}`")
        return lines


def conclude_search(outcome: LaunchOutcome, tracking_uri: str | None) -> SearchConclusion:
    """Lay out the best trials, and write the report into the launch folder and into MLflow.

    Done again, it replaces what is there.
    """
    launch = outcome.launch
    size = int(launch.document["dataset_manifest"]["settings"]["size"])
    plan = plan_search(launch.task, config_of(launch), size)
    study = study_of(launch, plan)
    table = SearchTable(
        f"{launch.task} search on {launch.document['dataset']}",
        plan.objectives,
        summaries(launch, study, plan.objectives),
        launch.document["baseline"],
    )
    write_report(launch, plan, study, table)
    problem = None if tracking_uri is None else _log(launch, tracking_uri)
    has_best = best_trial(table) is not None
    best_file = f"{launch.storage.uri}/{SEARCH}/best.yaml" if has_best else None
    return SearchConclusion(outcome, table, best_file=best_file, problem=problem)


def _log(launch: Launch, tracking_uri: str) -> str | None:
    """Track the report of a search; return why that failed: hours of searching are worth more."""
    from tuning.tracking.search import log_search

    try:
        log_search(launch, tracking_uri)
    except ChromatuneError as error:
        return str(error)
    return None
