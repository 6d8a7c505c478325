"""What a search has found, as a table, as pictures, as a configuration to train alone."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from PIL import Image
from rich.console import Console

from tuning.config.schema import TrainLaunchConfig, resolve
from tuning.config.search import SearchLaunchConfig
from tuning.launch.folder import Launch
from tuning.search.plan import plan_search
from tuning.search.summary import TrialSummary, pareto_set, ranked, summaries
from tuning.search.table import SearchTable
from tuning.workflows.search_report import best_trial, write_report
from tuning.workflows.train import train_fit

MakeScript = Callable[..., Any]


@pytest.fixture
def found(script: MakeScript) -> Any:
    """Six trials, of every outcome; the best by far is the third, in its second epoch."""
    search = script(total=7)
    search.run(search.next(), [30.0, 31.0, 32.0])
    search.run(search.next(), [28.0], outcome="pruned")
    search.run(search.next(), [33.0, 36.0, 35.0])
    search.ledger.failed(search.next().training.training_id, "diverged", "NaN in epoch 1")
    search.ledger.failed(search.next().training.training_id, "failed", "out of GPU memory")
    search.run(search.next(), [30.5, 31.5])
    name = search.next().training.training_id
    search.ledger.stopped()
    search.write_cell(name, [29.0, 34.0], "stopped")
    return search


def table_of(search: Any) -> SearchTable:
    trials = summaries(search.launch, search.study, search.objectives)
    return SearchTable("search", search.objectives, trials, {"val_psnr": 25.5})


def test_trials_are_read_off_the_study_and_the_folder(found: Any) -> None:
    trials = summaries(found.launch, found.study, found.objectives)
    assert [trial.outcome for trial in trials] == [
        *("finished", "pruned", "finished", "diverged", "failed", "finished", "stopped"),
    ]
    assert [trial.values for trial in trials] == [
        *((32.0,), (28.0,), (36.0,), (), (), (31.5,), (34.0,)),
    ]
    best = trials[2]
    assert (best.kept_epoch, best.epochs, best.planned_epochs) == (2, 3, 9)
    assert best.curve == {1: 33.0, 2: 36.0, 3: 35.0}
    assert best.seconds == 6.0
    assert trials[4].message == "out of GPU memory"


def test_the_best_come_first_whatever_became_of_them(found: Any) -> None:
    table = table_of(found)
    assert [trial.number for trial in table.shown] == [2, 6, 0, 5, 1]
    best = best_trial(table)
    assert best is not None
    assert best.number == 2


def test_the_table_says_what_a_reader_asks(found: Any) -> None:
    table = table_of(found)
    console = Console(file=io.StringIO(), width=100)
    console.print(table.rich())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "7 trials: 3 finished, 1 cut short, 1 stopped, 1 diverged, 1 failed" in shown
    assert "2 of 3" in shown
    assert "constant predictor: PSNR, dB 25.50" in shown
    lines = table.markdown().splitlines()
    assert lines[4].startswith("| **2** | **★36.00** | 2 of 3 | finished | ")
    document = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert document["trials"][0]["values"] == [36.0]
    assert document["trials"][0]["in_pareto_set"] is True
    assert document["counts"]["diverged"] == 1


def test_a_pareto_set_is_what_no_other_beats(script: MakeScript) -> None:
    search = script(objectives=["val_psnr:max", "parameters:min"], total=5)
    for psnr, parameters in ((30.0, 100), (32.0, 200), (31.0, 300), (30.0, 90), (32.0, 200)):
        name = search.next().training.training_id
        search.write_cell(name, [psnr], parameters=parameters)
        search.ledger.ended(name)
    trials = summaries(search.launch, search.study, search.objectives)
    front = [trial.number for trial in pareto_set(trials, search.objectives)]
    assert front == [1, 4, 3]
    # Optuna comes to the same.
    assert sorted(front) == sorted(trial.number for trial in search.study.best_trials)
    table = table_of(search)
    assert [trial.number for trial in table.shown] == [1, 4, 3, 2, 0]


def test_equals_rank_by_their_number(found: Any) -> None:
    first = TrialSummary(1, "a", {}, "finished", (3.0,))
    second = dataclasses.replace(first, number=0)
    worse = dataclasses.replace(first, number=2, values=(2.0,))
    empty = dataclasses.replace(first, number=3, values=())
    order = ranked([first, worse, empty, second], found.objectives[0])
    assert [trial.number for trial in order] == [0, 1, 2]


def test_a_search_leaves_its_report(found: Any) -> None:
    space = yaml.safe_load((Path(__file__).parent / "space.yaml").read_text())
    config = SearchLaunchConfig.model_validate({"search": {"space": space}})
    plan = plan_search("colorizer", config, 64)
    document = {
        **found.launch.document,
        "dataset": "faces",
        "config": config.model_dump(mode="json"),
    }
    launch = Launch(found.launch.storage, document)
    for _ in range(2):  # done again, it replaces what is there
        write_report(launch, plan, found.study, table_of(found))
    folder = found.folder / "search"
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.safetensors",
        "best.yaml",
        "learning_curves.png",
        "optimization_history.png",
        "parallel_coordinate.png",
        "slice.png",
        "study.journal",
        "top10.json",
        "top10.md",
    ]
    assert (folder / "best.safetensors").read_text() == "weights of trial 2"
    for picture in folder.glob("*.png"):
        with Image.open(picture) as image:
            assert min(image.size) > 150
            assert len(image.convert("L").getcolors() or range(300)) > 20  # something is drawn
    copy = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    loaded = optuna.load_study(study_name=found.study.study_name, storage=copy)
    assert [trial.params for trial in loaded.trials] == [
        trial.params for trial in found.study.trials
    ]


def test_the_best_configuration_is_the_very_training(found: Any) -> None:
    space = yaml.safe_load((Path(__file__).parent / "space.yaml").read_text())
    config = SearchLaunchConfig.model_validate({"search": {"space": space}})
    document = {
        **found.launch.document,
        "dataset": "faces",
        "config": config.model_dump(mode="json"),
    }
    launch = Launch(found.launch.storage, document)
    table = table_of(found)
    write_report(launch, plan_search("colorizer", config, 64), found.study, table)
    file = found.folder / "search" / "best.yaml"
    best = best_trial(table)
    assert best is not None
    assert best.training is not None
    trained = train_fit(resolve(TrainLaunchConfig, file=file), image_size=64)
    assert trained == best.training.fit
    assert file.read_text().startswith("# The best of search-1: trial 2, 36 on val")
