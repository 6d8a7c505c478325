"""The results of a search: its table, its report, its best configuration."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from tuning.config.schema import TrainLaunchConfig, resolve
from tuning.launch.folder import Launch
from tuning.launch.limits import TIME_IS_UP
from tuning.launch.outcomes import LaunchOutcome
from tuning.search.ranking_table import SearchTable
from tuning.search.summary import TrialSummary, pareto_set, ranked, summaries
from tuning.workflows.search_results import SearchConclusion, best_trial, write_report
from tuning.workflows.train import train_fit

MakeScript = Callable[..., Any]


@pytest.fixture
def found(script: MakeScript) -> Any:
    """Seven trials with every outcome; the best is the third, in its second epoch."""
    search = script(total=7)
    search.run(search.next(), [30.0, 31.0, 32.0])
    search.run(search.next(), [28.0], outcome="pruned")
    search.run(search.next(), [33.0, 36.0, 35.0])
    search.ledger.failed(search.next().training_id, "diverged", "NaN in epoch 1")
    search.ledger.failed(search.next().training_id, "failed", "out of GPU memory")
    search.run(search.next(), [30.5, 31.5])
    name = search.next().training_id
    search.ledger.stopped()
    search.write_cell(name, [29.0, 34.0], "stopped")
    return search


def table_of(search: Any) -> SearchTable:
    trials = summaries(search.launch, search.study, search.plan.objectives)
    return SearchTable("search", search.plan.objectives, trials, {"val_psnr": 25.5})


def test_summaries_agree_with_study_and_folder(found: Any) -> None:
    trials = summaries(found.launch, found.study, found.plan.objectives)
    assert [trial.outcome for trial in trials] == [
        *("finished", "pruned", "finished", "diverged", "failed", "finished", "stopped"),
    ]
    assert [trial.values for trial in trials] == [
        *((32.0,), (28.0,), (36.0,), (), (), (31.5,), (34.0,)),
    ]
    best = best_trial(table_of(found))
    assert best == trials[2]
    assert (best.kept_epoch, best.epochs, best.seconds) == (2, 3, 6.0)


def test_the_table_shows_the_best_trials_and_counts_all(found: Any) -> None:
    table = table_of(found)
    assert [trial.number for trial in table.shown] == [2, 6, 0, 5, 1]
    text = table.markdown()
    assert "7 trials: 3 finished, 1 pruned, 1 stopped, 1 diverged, 1 failed" in text
    assert "constant predictor: PSNR, dB 25.50" in text
    assert text.splitlines()[4].startswith("| **2** | **★36.00** | 2 of 3 | finished | ")
    document = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert document["trials"][0]["values"] == [36.0]
    assert document["trials"][0]["in_pareto_set"] is True
    assert document["counts"]["diverged"] == 1


def test_the_pareto_set_is_optunas(script: MakeScript) -> None:
    search = script(objectives=["val_psnr:max", "parameters:min"], total=5)
    for psnr, parameters in ((30.0, 100), (32.0, 200), (31.0, 300), (30.0, 90), (32.0, 200)):
        search.end([psnr], parameters=parameters)
    trials = summaries(search.launch, search.study, search.plan.objectives)
    front = [trial.number for trial in pareto_set(trials, search.plan.objectives)]
    assert front == [1, 4, 3]
    assert sorted(front) == sorted(trial.number for trial in search.study.best_trials)
    table = table_of(search)
    assert [trial.number for trial in table.shown] == [1, 4, 3, 2, 0]


def test_equals_rank_by_their_number(found: Any) -> None:
    first = TrialSummary(1, "a", {}, "finished", (3.0,))
    second = dataclasses.replace(first, number=0)
    worse = dataclasses.replace(first, number=2, values=(2.0,))
    empty = dataclasses.replace(first, number=3, values=())
    order = ranked([first, worse, empty, second], found.plan.objectives[0])
    assert [trial.number for trial in order] == [0, 1, 2]


def test_the_report_has_plots_and_the_best_trial(found: Any) -> None:
    config = found.plan.config.model_dump(mode="json")
    document = found.launch.document | {"dataset": "faces", "config": config}
    launch = Launch(found.launch.storage, document)
    table = table_of(found)
    for _ in range(2):  # an earlier report is replaced
        write_report(launch, found.study, table)
    folder = found.folder / "search"
    pictures = ("learning_curves", "optimization_history", "parallel_coordinate", "slice")
    assert {path.name for path in folder.iterdir()} == {
        *("best.safetensors", "best.yaml", "top10.json", "top10.md"),
        *(f"{name}.png" for name in pictures),
    }
    assert (folder / "best.safetensors").read_text() == "weights of trial 2"
    assert [path.parent for path in found.folder.rglob("*.journal")] == [found.folder]
    best = best_trial(table)
    assert best is not None
    assert best.training is not None
    text = (folder / "best.yaml").read_text()
    assert text.startswith("# The best of search-1: trial 2, 36 on val")
    trained = train_fit(resolve(TrainLaunchConfig, file=folder / "best.yaml"), image_size=64)
    assert trained == best.training.fit


@pytest.mark.parametrize(
    ("ended_by", "best_file", "message"),
    [
        (
            "the budget of 1 CPU hours is used up",
            "best.yaml",
            "the best model is kept; resume with `chromatune search colorizer --extend {} "
            "--budget-cpu-hours 1`",
        ),
        (TIME_IS_UP, None, "no trial has a result yet; resume with `chromatune resume {}`"),
    ],
)
def test_a_search_stopped_by_a_budget_can_be_resumed(
    ended_by: str, best_file: str | None, message: str, script: MakeScript
) -> None:
    search = script()
    outcome = LaunchOutcome(search.launch, [], [], is_over=False, ended_by=ended_by)
    lines = SearchConclusion(outcome, table_of(search), best_file=best_file).advice
    assert lines[0] == f"{ended_by}: {message.format(search.launch.found_by)}"
    assert not any(line.startswith("stopped") for line in lines)
