"""Launches from Python: what they return, how they end, and what they leave as it was."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chromatune
from chromatune import ChromatuneError, Launch
from chromatune._process import unchanged
from data_prep import DataError
from tests.chromatune.conftest import NAME

SMALL: dict[str, Any] = {"dataset": NAME, "backend": "serial"}
SPACE = {
    "model": "fc",
    "head": "tanh",
    "epochs": 2,
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
}


def small_grid(**keywords: Any) -> Launch:
    axes: dict[str, Any] = {"models": ["fc"], "heads": ["relu"], "lrs": [1e-3], "epochs": [2]}
    return chromatune.grid("regression", **SMALL, **{**axes, **keywords})


def state_of_the_process() -> tuple[Any, ...]:
    signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    loggers = [logging.getLogger(name) for name in (None, "matplotlib", "ray.tune")]
    levels = [(logger.level, list(logger.handlers)) for logger in loggers]
    return dict(os.environ), Path.cwd(), signals, levels


def test_a_grid_returns_its_cells_and_leaves_the_process_as_it_was(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AIR_NEW_OUTPUT", raising=False)  # set for the time of a call
    before = state_of_the_process()
    launch = small_grid(lrs=[1e-3, 1e-2], set_={"training.batch_size": 16})
    assert state_of_the_process() == before

    assert launch.status == "finished"
    assert launch.errors == []
    assert launch.folder == f"{here}/ray_results/{launch.id}"
    files = (
        json.loads(path.read_text()) for path in here.glob("ray_results/*/*/cells/*/cell.json")
    )
    written = {cell["cell_id"]: cell for cell in files}
    frame = launch.to_frame().set_index("cell")
    assert sorted(frame.index) == sorted(written)
    assert sorted(frame["lr"]) == [1e-3, 1e-2]
    assert list(frame.columns[:5]) == ["outcome", "model", "head", "lr", "epochs"]
    for name, cell in written.items():
        assert frame.loc[name, "val_mse"] == cell["metrics"]["val_mse"]
        assert cell["params"]["batch_size"] == 16
    best = min(written.values(), key=lambda cell: cell["metrics"]["val_mse"])
    assert launch.best is not None
    assert launch.best.cell_id == best["cell_id"]
    assert launch.best.params["lr"] == best["params"]["lr"]
    assert repr(launch) == f"<Launch {launch.id}: finished, 2 of 2 cells>"
    with pytest.raises(ChromatuneError, match="is no search"):
        _ = launch.study

    axes = launch.plot().axes[0]
    curves = {tuple(line.get_ydata()) for line in axes.lines}
    assert curves == {
        tuple(record["val_mse"] for record in cell["history"] if "val_mse" in record)
        for cell in written.values()
    }
    (named,) = (line for line in axes.lines if line.get_label().startswith("best"))
    assert min(named.get_ydata()) == min(min(curve) for curve in curves)


def test_what_a_library_changes_during_a_call_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = state_of_the_process()
    modes = []

    @unchanged()
    def call() -> None:
        os.environ["OMP_NUM_THREADS"] = "7"
        os.environ.setdefault("RAY_AUTH_MODE", f"mode {len(modes)}")
        modes.append(os.environ["RAY_AUTH_MODE"])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        raise DataError("wrong")

    for _ in range(2):
        with pytest.raises(ChromatuneError, match="wrong"):
            call()
        assert state_of_the_process() == before
    assert modes[0] == modes[1]  # Ray reads it once


@pytest.mark.slow
def test_a_search_over_a_space_of_ones_own(here: Path) -> None:
    search = chromatune.search(
        "regression", **SMALL, space=SPACE, num_samples=3, sampler="random", points=[{"lr": 5e-3}]
    )
    frame = search.to_frame()
    assert len(frame) == 3
    assert frame["lr"].nunique() == 3
    assert frame["lr"][0] == 5e-3
    assert search.best is not None
    assert search.best.metrics["val_mse"] == frame["val_mse"].min()
    study = search.study.trials_dataframe()
    assert list(study["params_lr"]) == list(frame["lr"])
    assert list(study["value_val_mse"]) == list(frame["val_mse"])
    shown = search._repr_html_()
    assert shown.count("<tr>") == 4
    assert f"<b>{search.id}: search on {NAME}, finished</b>" in shown
    # The packaged points would fit no space but their own.
    assert [launch.id for launch in chromatune.launches()] == [search.id]
    assert chromatune.load_launch().id == search.id
    again = chromatune.train(config=here / f"ray_results/{search.id}/search/best.yaml")
    assert again.best is not None
    assert again.best.params["lr"] == search.best.params["lr"]


@pytest.mark.slow
def test_a_search_is_extended_here_and_in_the_background(here: Path) -> None:
    asked: dict[str, Any] = {"space": SPACE, "sampler": "random"}
    table = chromatune.search("regression", **SMALL, **asked, num_samples=2, dry_run=True)
    assert not (here / "ray_results").exists()
    assert (table.cost.trials, table.cost.epochs, table.cost.hours) == (2, 4, None)
    assert "0.0001 to 0.01" in table._repr_html_()
    search = chromatune.search("regression", **SMALL, **asked, num_samples=2)
    frame = search.to_frame()
    assert list(frame["lr"]) == [values["lr"] for values in table.suggestions]

    more = chromatune.search("regression", extend=search, num_samples=1, points=[{"lr": 4e-3}])
    assert more.id == search.id
    assert list(more.to_frame()["lr"]) == [*frame["lr"], 4e-3]
    points = [{"lr": 6e-3}]
    chromatune.search(
        "regression", extend=search.id, num_samples=1, points=points, background=True
    ).wait()
    assert list(search.to_frame()["lr"]) == [*frame["lr"], 4e-3, 6e-3]
    assert search.status == "finished"


@pytest.mark.usefixtures("here")
def test_a_launch_in_the_background_is_stopped_and_resumed() -> None:
    launch = small_grid(epochs=[5000], background=True)
    assert launch.status == "running"
    assert next(cell.outcome for cell in launch.cells) in ("waiting", "running")
    assert launch.best is None
    with pytest.raises(ChromatuneError, match="no cell with val_mse yet"):
        launch.plot()
    assert launch.stop().status == "stopped"
    assert launch.resume(background=True).status == "running"
    launch.stop()
    with pytest.raises(ChromatuneError, match="is not running: it is stopped"):
        launch.stop()
    with pytest.raises(ChromatuneError, match=r"^no prepared dataset 'fruits' in data"):
        chromatune.grid("regression", dataset="fruits", backend="serial", background=True)


def test_ctrl_c_stops_a_launch_after_its_epoch(here: Path) -> None:
    def interrupt() -> None:
        while not list(here.glob("ray_results/*/progress.json")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        small_grid(epochs=[5000])
    launch = chromatune.load_launch("last")
    assert launch.status == "stopped"
    assert list(here.glob("ray_results/*/*/checkpoint_*"))


@pytest.mark.parametrize("name", ["grid", "finals", "finetune", "search", "promote"])
def test_a_misspelt_task_is_named(name: str) -> None:
    with pytest.raises(ChromatuneError, match="'colourizer'; did you mean 'colorizer'"):
        getattr(chromatune, name)("colourizer")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: small_grid(models="fc"), ChromatuneError, "'grid.models' is wrong"),
        (lambda: small_grid(epohs=[1]), TypeError, "did you mean 'epochs'"),
        (lambda: small_grid(set_={"grid.epoch": 1}), ChromatuneError, "grid.epoch"),
        (lambda: small_grid(models=["autoencoder"]), ChromatuneError, "autoencoder"),
        (lambda: chromatune.prepare("mine"), ChromatuneError, "source"),
        (
            lambda: chromatune.search("colorizer", time_it=True),  # type: ignore[call-overload]
            *(ChromatuneError, "--dry-run"),
        ),
        (lambda: chromatune.search("colorizer", extend="last"), ChromatuneError, "no launch"),
        (
            lambda: chromatune.search("colorizer", extend="last", space=SPACE),
            *(ChromatuneError, "space does not go with extend"),
        ),
        (
            lambda: chromatune.search("colorizer", extend="last", set_={"seed": 1}),
            *(ChromatuneError, "--set does not go with --extend"),
        ),
        (lambda: chromatune.finals(background=True), ChromatuneError, "name a task"),
        (lambda: chromatune.load_launch("none"), ChromatuneError, "no launch 'none'"),
        (lambda: chromatune.launchs, AttributeError, "no attribute 'launchs'"),
    ],
)
def test_wrong_input_is_an_error_of_one_line(
    here: Path, call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
    assert not (here / "ray_results").exists()


def test_importing_the_package_loads_nothing() -> None:
    heavy = {"torch", "numpy", "ray", "mlflow", "optuna", "rich", "typer", "pydantic"}
    program = f"import sys, chromatune; dir(chromatune); print({heavy} & sys.modules.keys())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout.strip() == "set()", answer.stderr
