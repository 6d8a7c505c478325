"""A search from its first suggestion to its report: whole, killed, extended, out of budget."""

from __future__ import annotations

import functools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tuning.search.budget import Budget
from tuning.search.ledger import Ledger

pytestmark = pytest.mark.slow

STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED}


def space(epochs: int) -> dict[str, Any]:
    return {
        "model": "cnn1",
        "head": {"type": "categorical", "choices": ["relu", "tanh"]},
        "epochs": epochs,
        "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "schedule": {"type": "categorical", "choices": ["constant", "onecycle"]},
        "warmup": {"type": "float", "low": 0.0, "high": 0.3, "when": {"schedule": "onecycle"}},
    }


def search(place: Any, *options: str, epochs: int = 9, **changes: Any) -> list[str]:
    """Words of a command that searches among small networks, one trial at a time."""
    file = place.folder / "space.yaml"
    file.write_text(yaml.safe_dump({"search": {"space": space(epochs), **changes}}))
    one_worker = ["--max-concurrent-trials", "1", "--seed", "1"]
    return [
        *("search", "regression", "-c", str(file)),
        *(*place.data, *place.where, *one_worker, *options),
    ]


def struck(*_: Any) -> None:
    raise KeyboardInterrupt


def losses(cell: dict[str, Any]) -> list[tuple[int, float]]:
    return [(record["epoch"], record["train_loss"]) for record in cell["history"]]


def begun(place: Any) -> list[Path]:
    """What every trial writes down before it begins."""
    return [file for launch in place.launches() for file in launch.glob("*/training.json")]


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

    def observed(ledger: Ledger, training_id: str, epoch: int, score: float | None) -> None:
        clock.now += 1
        observe(ledger, training_id, epoch, score)

    monkeypatch.setattr(Ledger, "observe", observed)
    monkeypatch.setattr("tuning.workflows.search.Budget", functools.partial(Budget, clock=clock))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_search_is_told_the_same_everywhere_and_its_best_trains_alone(
    place: Any,
    local_ray: None,  # noqa: ARG001
    epochs_are_seconds: None,  # noqa: ARG001
    run: Callable[..., Any],
    tmp_path: Path,
) -> None:
    # The budget of 4.5 s ends it in the first trial, after 5 of 9 epochs.
    words = search(place, "--num-samples", "5", "--budget-cpu-hours", "0.00125")
    stopped = run(*words, "--format", "json")
    assert stopped.status == 0, stopped.err
    assert "the budget of 0.00125 CPU hours is used up" in stopped.err
    (table,) = json.loads(stopped.out)["tables"]
    assert table["counts"] == {"stopped": 1}
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

    # With more hours and one trial more it goes on with what was begun.
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
    trained = run("train", "-c", str(best), *elsewhere)
    assert trained.status == 0, trained.err
    (alone,) = (tmp_path / "alone").glob("*/*/cells/*/cell.json")
    found = min(cell["metrics"]["val_mse"] for cell in place.cells().values())
    assert json.loads(alone.read_text())["metrics"]["val_mse"] == found


def test_ctrl_c_stops_a_search_cleanly_and_it_goes_on(place: Any, run: Callable[..., Any]) -> None:
    driver = place.start(*search(place, "--num-samples", "2", epochs=400, grace_period=400))
    place.wait_for(driver, lambda: bool(begun(place)), "the first trial")
    os.killpg(driver.process.pid, signal.SIGINT)
    stopped = driver.wait()
    assert stopped.status == 130, stopped.err
    assert f"chromatune resume {place.launch().name}`" in stopped.err
    assert "RUNNING" not in {one.info.status for one in place.runs().values()}
    resumed = run(*place.resume())
    assert resumed.status == 0, resumed.err
    trials_agree(place, 2)


def test_a_killed_search_goes_on_and_no_trial_is_there_twice(
    place: Any,
    make_place: Callable[[], Any],
    local_ray: None,  # noqa: ARG001
    run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undisturbed = make_place()
    whole = run(*search(undisturbed, "--num-samples", "3", epochs=40, grace_period=30))
    assert whole.status == 0, whole.err

    driver = place.start(*search(place, "--num-samples", "3", epochs=40, grace_period=30))
    place.wait_for(driver, lambda: len(begun(place)) == 2, "the second trial")
    driver.kill()
    before = {name: cell["ended"] for name, cell in place.cells().items()}
    assert len(before) == 1
    told = study_of(place.launch())
    assert any(trial.state == TrialState.RUNNING for trial in told.trials)

    # Ctrl-C twice: the second one ends Ray's loop at once.
    with monkeypatch.context() as patch:
        patch.setattr("tuning.workflows.search.search_tuner", struck)
        twice = run(*place.resume())
    assert twice.status == 130
    assert f"stopped at once; go on with `chromatune resume {place.launch()}`" in twice.err
    assert "RUNNING" not in {one.info.status for one in place.runs().values()}

    second = place.start(*place.resume())
    second.kill_a_worker()
    resumed = second.wait()
    assert resumed.status == 0, resumed.err
    assert {name: place.cells()[name]["ended"] for name in before} == before
    trials_agree(place, 3)
    for name, cell in undisturbed.cells().items():
        again = place.cells()[name]
        assert again["params"] == cell["params"]
        assert again["metrics"] == cell["metrics"]
        assert losses(again) == losses(cell)
    assert "RUNNING" not in {one.info.status for one in place.runs().values()}
    assert "Warning" not in resumed.err
