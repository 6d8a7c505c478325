"""A user's working place, where files have the names of this program's packages.

It holds pictures, launches and an MLflow store; commands run in it, on a real Ray.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.torch import load_file
from torch import Tensor

from chromatune import PACKAGES
from data_prep import PreparedDataset, PrepareSettings, prepare
from tests.commands import Finished, run
from tests.processes import descendants

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240
LRS = (1e-3, 1e-4)
# The long training is still at work when a test that saw its first cell strikes.
EPOCHS = (2, 60)
PICTURES = PrepareSettings(dataset="synthetic-faces", count=40, augment=1)
BATCH_SIZE = 10


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Here Ray and MLflow run for real, and only warnings about our own code are errors."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            # The mark that is nearer to the test is applied last.
            item.add_marker(pytest.mark.filterwarnings("error:::(tuning|models|data_prep)"), False)
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@dataclasses.dataclass
class Driver:
    """A command at work in a session of its own, with the Ray that it started."""

    process: subprocess.Popen[str]
    output: Path

    def wait(self) -> Finished:
        status = self.process.wait(PATIENCE_S)
        out, err = ((self.output / name).read_text() for name in ("out", "err"))
        return Finished(status, out, err)

    def workers(self) -> list[int]:
        """Process ids of the trials: descendants whose title Ray has set to the trainable's."""
        return [pid for pid in descendants(self.process.pid) if _title(pid).endswith(".train")]

    def kill_a_worker(self) -> None:
        """Kill -9 the process of a trial as soon as one is training.

        Between two reports, and before the first, Ray's title does not say so yet.
        """

        def has_struck() -> bool:
            assert self.process.poll() is None, self.wait()
            for pid in self.workers()[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
            return False

        wait_until(has_struck, "a trial to kill")

    def kill(self) -> None:
        """Kill -9 the driver alone, as an out-of-memory killer would; its trials end by themselves.

        Two of Ray's agents would linger for a minute.
        """
        workers, left_behind = self.workers(), descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(map(_is_alive, workers)), "trials end with their driver")
        _kill(left_behind)

    def end(self) -> None:
        """Leave nothing of it, whatever has happened."""
        below = descendants(self.process.pid)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        _kill(below)


@dataclasses.dataclass
class Place:
    """Where one user works; commands get all its paths as options."""

    folder: Path
    data_root: Path
    drivers: list[Driver] = dataclasses.field(default_factory=list)

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder}/mlruns/mlflow.db"

    @property
    def where(self) -> list[str]:
        return ["--storage-path", f"{self.folder}/ray_results", "--tracking-uri", self.store]

    @property
    def data(self) -> list[str]:
        return [
            *("--dataset", PICTURES.dataset, "--count", str(PICTURES.count)),
            *("--augment", str(PICTURES.augment), "--data-root", str(self.data_root)),
            *("--set", f"training.batch_size={BATCH_SIZE}"),
        ]

    def grid(self, task: str = "regression", *options: str) -> list[str]:
        """Words of a command that runs the small grid, or another if `options` say so."""
        axes = {
            "--models": "cnn1" if task == "regression" else "autoencoder",
            "--heads": "relu",
            "--lrs": ",".join(f"{lr:g}" for lr in LRS),
            "--epochs": ",".join(map(str, EPOCHS)),
        }
        given = dict(zip(options[::2], options[1::2], strict=False))
        words = [word for pair in axes.items() if pair[0] not in given for word in pair]
        return ["grid", task, *self.data, *self.where, *words, *options]

    def search(self, *options: str, epochs: int = 9, **changes: Any) -> list[str]:
        """Words of a command that searches among small networks, one trial at a time."""
        space = {
            "model": "cnn1",
            "head": {"type": "categorical", "choices": ["relu", "tanh"]},
            "epochs": epochs,
            "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
            "schedule": {"type": "categorical", "choices": ["constant", "onecycle"]},
            "warmup": {"type": "float", "low": 0.0, "high": 0.3, "when": {"schedule": "onecycle"}},
        }
        file = self.folder / "space.yaml"
        file.write_text(yaml.safe_dump({"search": {"space": space, **changes}}))
        one_worker = ["--max-concurrent-trials", "1", "--seed", "1"]
        return [
            *("search", "regression", "-c", str(file)),
            *(*self.data, *self.where, *one_worker, *options),
        ]

    def resume(self, name: str = "last", *options: str) -> list[str]:
        return ["resume", name, *self.where, *options]

    def launches(self) -> list[Path]:
        folder = self.folder / "ray_results"
        return sorted(folder.iterdir()) if folder.exists() else []

    def launch(self) -> Path:
        (launch,) = self.launches()
        return launch

    def cells(self) -> dict[str, dict[str, Any]]:
        """Every cell.json of the one launch."""
        found = {}
        for launch in self.launches():
            for path in launch.glob("*/cells/*/cell.json"):
                found[path.parent.name] = json.loads(path.read_text())
        return found

    def assert_same_cells(self, expected: Place) -> None:
        """The cells of both launches are the same, bit for bit, whatever their clocks said."""
        cells, others = self.cells(), expected.cells()
        assert cells.keys() == others.keys()
        for cell_id, cell in cells.items():
            assert losses(cell) == losses(others[cell_id])
            for key in ("metrics", "params"):
                assert cell[key] == others[cell_id][key]
            torch.testing.assert_close(
                self.weights(cell_id), expected.weights(cell_id), rtol=0, atol=0
            )

    def assert_whole(self, expected: Place) -> None:
        """The launch ended as one that nothing disturbed, bit for bit, in its files and MLflow."""
        self.assert_same_cells(expected)
        self.assert_once_in_mlflow()

    def assert_once_in_mlflow(self) -> None:
        """Every cell of the launch is one finished run with all its epochs."""
        cells = self.cells()
        runs = self.runs(f"tags.`chromatune.launch_id` = '{self.launch().name}'")
        assert runs.keys() == {"", *cells}
        assert {run.info.status for run in runs.values()} == {"FINISHED"}
        for cell_id, cell in cells.items():
            assert self.metric(runs[cell_id], "train_loss") == losses(cell)
            validated = sum("val_mse" in record for record in cell["history"])
            assert len(self.metric(runs[cell_id], "val_mse")) == validated

    def weights(self, cell_id: str) -> dict[str, Tensor]:
        (path,) = self.launch().glob(f"*/cells/{cell_id}/model.safetensors")
        return load_file(path)

    def client(self) -> MlflowClient:
        return MlflowClient(self.store, self.store)

    def runs(self, query: str = "") -> dict[str, Run]:
        """Every run by its cell id, the parent's under ""; fails if one is there twice."""
        client = self.client()
        experiments = [one.experiment_id for one in client.search_experiments()]
        found: dict[str, Run] = {}
        for found_run in client.search_runs(experiments, query):
            key = found_run.data.tags.get("chromatune.cell_id", "")
            assert key not in found, f"two runs of '{key}'"
            found[key] = found_run
        return found

    def statuses(self) -> set[str]:
        """The statuses of the runs of the one launch."""
        runs = self.runs(f"tags.`chromatune.launch_id` = '{self.launch().name}'")
        return {run.info.status for run in runs.values()}

    def metric(self, run: Run, name: str) -> list[tuple[int, float]]:
        """Every value that was logged, with its step."""
        history = self.client().get_metric_history(run.info.run_id, name)
        return sorted((one.step, one.value) for one in history)

    def start(self, *words: str) -> Driver:
        """Start a command as a user does, in a process and a session of its own."""
        output = self.folder / f"output-{len(self.drivers)}"
        output.mkdir()
        with (output / "out").open("w") as out, (output / "err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "chromatune", *words],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(["", *sys.path[1:]]).strip(":")},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )
        driver = Driver(process, output)
        self.drivers.append(driver)
        return driver

    def wait_for_first_cell(self, driver: Driver) -> None:
        """Return while the grid is in the middle: a cell is finished, others are not."""
        self.wait_for(driver, lambda: bool(self.cells()), "the first cell")
        assert len(self.cells()) < len(LRS) * len(EPOCHS)

    def wait_for(self, driver: Driver, condition: Callable[[], bool], what: str) -> None:
        """Return as soon as the condition holds; fails if the driver ends before."""

        def holds() -> bool:
            assert driver.process.poll() is None, driver.wait()
            return condition()

        wait_until(holds, what)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """The prepared pictures that everything here trains on."""
    return prepare(PICTURES, tmp_path_factory.mktemp("data")).dataset


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: copying it saves each place the migrations."""
    from tuning.tracking.store import prepare_store

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    prepare_store(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def make_place(
    tmp_path_factory: pytest.TempPathFactory, pictures: PreparedDataset, migrated_database: Path
) -> Iterator[Callable[[], Place]]:
    places: list[Place] = []

    def make() -> Place:
        folder = tmp_path_factory.mktemp("place")
        for name in PACKAGES:
            (folder / f"{name}.py").write_text("raise ImportError('a file of the user')\n")
        (folder / "mlruns").mkdir()
        (folder / "mlruns/mlflow.db").write_bytes(migrated_database.read_bytes())
        places.append(Place(folder, pictures.folder.parent))
        return places[-1]

    yield make
    for place in places:
        for driver in place.drivers:
            driver.end()


@pytest.fixture
def place(make_place: Callable[[], Place]) -> Place:
    """A place where nothing has happened yet."""
    return make_place()


@pytest.fixture(scope="package")
def local_ray() -> Iterator[None]:
    """One Ray for all commands that run in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
            logging_level="ERROR",
        )
    yield
    ray.shutdown()


@pytest.fixture(scope="package")
def finished_grid(make_place: Callable[[], Place]) -> tuple[Place, Finished]:
    """The small grid, run to its end without Ray and without disturbance."""
    place = make_place()
    return place, run(*place.grid(), "--backend", "serial", "--format", "json")


@pytest.fixture(scope="session", name="run")
def run_fixture() -> Callable[..., Finished]:
    return run


def losses(cell: dict[str, Any]) -> list[tuple[int, float]]:
    return [(record["epoch"], record["train_loss"]) for record in cell["history"]]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_S} s in vain: {what}")
        time.sleep(0.02)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode().strip()
    return ""


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in ("Z", "X")
    return False
