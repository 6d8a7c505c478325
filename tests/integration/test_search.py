"""A search from its first suggestion to its report: out of budget, extended, whole."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tuning.search.budget import Budget
from tuning.search.ledger import Ledger

pytestmark = pytest.mark.slow

STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED}


def study_of(launch: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(launch / "study.journal")))
    return optuna.load_study(study_name=launch.name, storage=storage)


def trials_agree(place: Any, count: int) -> None:
    """Optuna, the launch folder and MLflow tell the same of `count` trials, each once."""
    launch = place.launch()
    study = study_of(launch)
    assert [trial.number for trial in study.trials] == list(range(count))
    cells = place.cells()
    runs = place.runs()
    for trial in study.trials:
        cell = cells[trial.user_attrs["training_id"]]
        run = runs[cell["cell_id"]]
        assert STATES[cell["outcome"]] == trial.state
        assert run.data.tags["chromatune.outcome"] == cell["outcome"]
        best = min(record["val_mse"] for record in cell["history"] if "val_mse" in record)
        assert trial.value == cell["metrics"]["val_mse"] == best
        assert run.data.metrics["val_mse"] == pytest.approx(best)
        epochs = [record["epoch"] for record in cell["history"]]
        assert epochs == list(range(1, len(epochs) + 1))
    assert len(cells) == count
    assert len(runs) == count + 1


@pytest.fixture
def epochs_are_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a search's budgets count epochs: no machine is too slow or too fast for them."""
    clock = Clock()
    observe = Ledger.observe

    def observed(ledger: Ledger, training_id: str, epoch: int, score: float) -> bool:
        clock.now += 1
        return observe(ledger, training_id, epoch, score)

    monkeypatch.setattr(Ledger, "observe", observed)
    monkeypatch.setattr("tuning.workflows.search.Budget", functools.partial(Budget, clock=clock))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_search_is_recorded_the_same_everywhere_and_its_best_trains_alone(
    place: Any,
    epochs_are_seconds: None,  # noqa: ARG001
    run: Callable[..., Any],
    tmp_path: Path,
) -> None:
    # The budget of 4.5 s ends it in the first trial after 5 of 9 epochs.
    serial = ["--backend", "serial"]
    words = place.search("--num-samples", "5", "--budget-cpu-hours", "0.00125", *serial)
    words += ["--scheduler", "asha-stop"]  # so that no second trial begins
    stopped = run(*words, "--format", "json")
    assert stopped.status == 0, stopped.err
    assert "the budget of 0.00125 CPU hours is used up" in stopped.err
    (table,) = json.loads(stopped.out)["tables"]
    assert table["counts"] == {"stopped": 1}
    (journal,) = place.launch().rglob("*.journal")
    study = f"study '{place.launch().name}' in {journal}"
    assert table["study"] == study
    assert study in stopped.err
    (cell,) = place.cells().values()
    assert cell["outcome"] == "stopped"
    assert len(cell["history"]) == 5
    assert table["trials"][0]["values"][0] == min(one["val_mse"] for one in cell["history"])
    report = place.launch() / "search"
    assert (report / "best.yaml").is_file()
    (kept,) = place.launch().glob("*/cells/*/model.safetensors")
    assert (report / "best.safetensors").read_bytes() == kept.read_bytes()
    assert "RUNNING" not in {one.info.status for one in place.runs().values()}
    refused = run(*place.resume())
    assert refused.status == 2
    assert "--extend" in refused.err

    # With more hours and one trial more it resumes what was begun.
    more = ["--extend", "last", "--num-samples", "1", "--budget-cpu-hours", "1"]
    done = run("search", "regression", *more, *place.where, "--format", "json")
    assert done.status == 0, done.err
    trials_agree(place, 6)
    (table,) = json.loads(done.out)["tables"]
    values = [trial["values"][0] for trial in table["trials"]]
    assert values == sorted(values)
    assert table["counts"]["finished"] >= 1
    assert not list(place.launch().glob("*/checkpoint_*"))

    parent = place.runs()[""]
    paths = {
        artifact.path for artifact in place.client().list_artifacts(parent.info.run_id, "search")
    }
    assert paths >= {
        f"search/{name}"
        for name in (
            *("optimization_history.png", "parallel_coordinate.png"),
            *("slice.png", "learning_curves.png", "top10.json", "top10.md"),
            *("best.yaml", "best.safetensors", "study.journal"),
        )
    }
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_val_mse"] == pytest.approx(values[0])

    # Done again, nothing changes.
    again = run(*place.resume(), "--format", "json")
    assert again.status == 0, again.err
    assert again.out == done.out
    trials_agree(place, 6)
    refused = run("search", "regression", "--extend", "last", "--sampler", "gp", *place.where)
    assert refused.status == 2
    assert "--sampler does not go with --extend" in refused.err

    best = report / "best.yaml"
    elsewhere = ["--storage-path", str(tmp_path / "alone"), "--tracking-uri", place.store]
    trained = run("train", "-c", str(best), *elsewhere, *serial)
    assert trained.status == 0, trained.err
    (alone,) = (tmp_path / "alone").glob("*/*/cells/*/cell.json")
    found = min(cell["metrics"]["val_mse"] for cell in place.cells().values())
    assert json.loads(alone.read_text())["metrics"]["val_mse"] == found
