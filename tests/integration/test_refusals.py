"""What cannot work is refused before anything is trained: exit status 2, one line, no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

WRONG_WORDS = {
    "unknown dataset": (["--dataset", "fases"], "did you mean 'faces'?"),
    "unknown model": (["--models", "cnn4"], "'cnn4' is no regression model; did you mean 'cnn"),
    "model of the other task": (["--models", "autoencoder"], "'autoencoder' is no regression"),
    "misspelled key": (
        ["--set", "training.bach_size=5"],
        "unknown key 'training.bach_size'; did you mean 'batch_size'?",
    ),
    "key without a value": (["--set", "training.seed"], "--set takes key=value"),
    "epochs in words": (["--epochs", "1,two"], "'grid.epochs.1' is wrong: input should be a valid"),
    "no epochs": (["--epochs", ""], "'grid.epochs' is wrong: list should have at least 1 item"),
    "negative learning rate": (["--lrs", "-1e-3"], "'grid.lrs.0' is wrong"),
    "infinite learning rate": (["--lrs", "inf"], "'grid.lrs.0' is wrong"),
    "no such head": (["--heads", "softmax"], "'grid.heads.0' is wrong"),
    "negative epochs": (["--epochs", "-1"], "'grid.epochs.0' is wrong"),
    "epochs twice": (["--epochs", "2,2"], "values must be distinct"),
    "no time": (["--time-budget-s", "-5"], "'resources.time_budget_s' is wrong"),
    "one and a half GPUs": (["--gpus-per-trial", "1.5"], "'resources.gpus_per_trial' is wrong"),
    "missing configuration": (["--config", "nowhere.yaml"], "cannot read the configuration"),
    "no MLflow store": (["--tracking-uri", "mlruns"], "the tracking URI 'mlruns' is a folder"),
    "dead server": (["--tracking-uri", "http://127.0.0.1:1"], "cannot be reached"),
}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_what_cannot_work_is_one_line(name: str, place: Any, run: Callable[..., Any]) -> None:
    words, expected = WRONG_WORDS[name]
    refused = run(*place.grid("regression", *words))
    assert_refused(refused, expected)
    assert place.launches() == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--epochz", "1"], "No such option"),
        (["--cpus-per-trial", "many"], "unable to parse string as a number"),
        (["--seed", "-1"], "0"),
        (["--count", "0"], "greater than or equal to 1"),
    ],
)
def test_wrong_options_are_one_line_that_says_where_to_read_more(
    words: list[str], expected: str, place: Any, run: Callable[..., Any]
) -> None:
    refused = run(*place.grid("regression", *words))
    assert refused.status == 2
    assert refused.out == ""
    assert expected in refused.err
    assert refused.err.count("\n") == 1
    assert "chromatune grid --help" in refused.err


def test_pictures_that_are_not_prepared(place: Any, run: Callable[..., Any]) -> None:
    refused = run("grid", "regression", "--data-root", str(place.folder), *place.where)
    assert_refused(refused, "chromatune prepare faces")
    assert place.launches() == []


def test_resuming_what_is_not_there(place: Any, run: Callable[..., Any]) -> None:
    assert_refused(run(*place.resume()), "no launch in")
    assert_refused(
        run(*place.resume("grid-regression-faces-1")), "no launch 'grid-regression-faces"
    )


@pytest.mark.parametrize("words", [("report",), ("trials", "regression")])
def test_a_mistyped_store_is_not_made(words: Any, place: Any, run: Callable[..., Any]) -> None:
    before = sorted(place.folder.rglob("*"))
    store = f"sqlite:///{place.folder}/mlrun/mlflow.db"
    refused = run(*words, "--tracking-uri", store)
    assert_refused(refused, f"no MLflow store at {store}")
    assert sorted(place.folder.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_trial_that_no_node_can_hold(place: Any, run: Callable[..., Any]) -> None:
    refused = run(*place.grid("regression", "--cpus-per-trial", "64"))
    assert_refused(refused, "no node can ever run a trial of 64 CPU and 0 GPU")
    assert "2 CPU and 0 GPU" in refused.err
    assert place.launches() == []
    assert place.client().search_experiments(filter_string="name != 'Default'") == []
    assert_refused(run(*place.resume()), "no launch in")


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_grid_on_other_pictures_is_not_resumed(
    finished_grid: Any, place: Any, run: Callable[..., Any]
) -> None:
    other, _ = finished_grid
    launch = place.folder / "ray_results" / other.launch().name
    launch.mkdir(parents=True)
    text = (other.launch() / "launch.json").read_text()
    digest = next(iter(other.cells().values()))["dataset_digest"]
    (launch / "launch.json").write_text(text.replace(digest, "0" * len(digest)))
    assert_refused(run(*place.resume()), "prepare the original images again")


def assert_refused(refused: Any, expected: str) -> None:
    assert refused.status == 2, refused
    assert refused.out == ""
    (line,) = refused.err.splitlines()
    assert line.startswith("error: ")
    assert expected in line
