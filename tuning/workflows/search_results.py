"""The end of a search: its table, and its report in the launch folder and in MLflow."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import ClassVar

import optuna

from tuning.display.formatting import format_count
from tuning.errors import ChromatuneError
from tuning.launch.folder import SEARCH, Launch
from tuning.launch.limits import TIME_IS_UP
from tuning.launch.outcomes import LaunchOutcome
from tuning.launch.records import cell_folder
from tuning.search.budget import Budget
from tuning.search.confirmation import read_confirmed
from tuning.search.ledger import Ledger
from tuning.search.plan import SearchPlan
from tuning.search.plots import draw_study
from tuning.search.ranking_table import SearchTable
from tuning.search.summary import TrialSummary, ranked, summaries, train_file
from tuning.workflows.confirmation import tested
from tuning.workflows.launch_results import Conclusion
from tuning.workflows.search_study import config_of, extend_command, plan_of, study_of, study_place


@dataclasses.dataclass(frozen=True)
class SearchConclusion(Conclusion):
    """A search's outcome and its table; `best_file` is the configuration of its best trial.

    Pruned and diverged trials are results; a failed one is not. `problem` says why the report is
    not in MLflow, `stagnation` that it has ended before its number of trials.
    """

    retries_failed: ClassVar[bool] = False

    best_file: str | None = None
    problem: str | None = None
    stagnation: str | None = None

    @property
    def succeeded(self) -> bool:
        is_delivered = not self.outcome.undelivered and self.problem is None
        is_whole = is_delivered and not self.outcome.interrupted and self.best_file is not None
        return is_whole and all(cell.outcome != "failed" for cell in self.outcome.cells)

    @property
    def advice(self) -> list[str]:
        lines = super().advice
        launch, ended_by = self.outcome.launch, self.outcome.ended_by
        if ended_by is not None:
            # The time starts anew with each command.
            is_anew = ended_by == TIME_IS_UP
            more = launch.resume_command() if is_anew else extend_command(launch, ended_by)
            kept = "the best model is kept" if self.best_file else "no trial has a result yet"
            lines = [line for line in lines if not line.startswith("stopped; ")]
            lines.append(f"{ended_by}: {kept}; resume with {more}")
        lines += [line for line in (self.stagnation, self.problem) if line is not None]
        if self.best_file is not None:
            train = launch.command("train", "-c", self.best_file)
            lines.append(f"train the best again with {train}")
        return lines


def conclude_search(outcome: LaunchOutcome, tracking_uri: str | None) -> SearchConclusion:
    """Make the table of the best trials, and write the report into the launch folder and MLflow.

    An earlier report is replaced.
    """
    launch = outcome.launch
    plan = plan_of(launch, config_of(launch))
    study = study_of(launch, plan, is_over=True)
    confirmed = read_confirmed(launch, study, plan.objectives[0]) if outcome.is_over else []
    table = SearchTable(
        f"{launch.task} search on {launch.document['dataset']}",
        plan.objectives,
        summaries(launch, study, plan.objectives),
        launch.document["baseline"],
        study_place(launch, plan),
        tested(launch, confirmed),
    )
    write_report(launch, study, table)
    problem = None if tracking_uri is None else _log(launch, tracking_uri)
    best_file = f"{launch.storage.uri}/{SEARCH}/best.yaml" if best_trial(table) else None
    stagnation = _stagnation(launch, plan, study) if outcome.is_over else None
    return SearchConclusion(
        outcome, table, best_file=best_file, problem=problem, stagnation=stagnation
    )


def _stagnation(launch: Launch, plan: SearchPlan, study: optuna.Study) -> str | None:
    """Say that a search has ended because its best score did not improve; None if it did."""
    allowed = Budget(launch.storage).allowance
    if not Ledger(launch, study, plan, allowed.num_samples, allowed.since).is_stagnant:
        return None
    more = launch.command("search", launch.task, "--extend", launch.found_by)
    return (
        f"the last {format_count(plan.search.max_stagnation_trials or 0, 'trial')} did not improve "
        f"the best score; continue with {more}"
    )


def write_report(launch: Launch, study: optuna.Study, table: SearchTable) -> None:
    """Write plots, the ten best trials and the best one into the folder `search`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        name = f"Search {launch.document['dataset']} {launch.task}"
        draw_study(study, table.objectives, folder, name)
        (folder / "top10.json").write_text(json.dumps(table.to_json(), indent=1), encoding="utf-8")
        (folder / "top10.md").write_text(table.markdown(), encoding="utf-8")
        best = best_trial(table)
        if best is not None and best.training is not None:
            text = train_file(launch, best, best.training)
            (folder / "best.yaml").write_text(text, encoding="utf-8")
            # MLflow has no model of a trial that may still be resumed.
            cell = cell_folder(best.name, best.training.cells[0].cell_id)
            launch.storage.download(f"{cell}/model.safetensors", folder / "best.safetensors")
        for file in sorted(folder.iterdir()):
            launch.storage.upload_file(file, f"{SEARCH}/{file.name}")


def best_trial(table: SearchTable) -> TrialSummary | None:
    """The best trial of this launch, even if it shares its study; None if none has a result.

    Of confirmed configurations it is the training with the best seed of the best mean.
    """
    if table.confirmed:
        first = table.confirmed[0]
        training, cell = first.trainings[first.best_seed], first.cells[first.best_seed]
        return dataclasses.replace(
            next(trial for trial in table.trials if trial.number == first.trial),
            name=training.training_id,
            training=training,
            values=(first.values[first.best_seed],),
            kept_epoch=cell.kept_epoch,
        )
    own = [trial for trial in table.trials if trial.training is not None]
    return next(iter(ranked(own, table.objectives[0])), None)


def _log(launch: Launch, tracking_uri: str) -> str | None:
    """Track the report; return why that failed: the results of a search must not be lost by it."""
    from tuning.tracking.delivery import log_search

    try:
        log_search(launch, tracking_uri)
    except ChromatuneError as error:
        return str(error)
    return None
