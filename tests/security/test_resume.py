"""A launch folder of a stranger, resumed for real: nothing in it is run, nothing is given away."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data_prep import PreparedDataset
from tests.processes import descendants
from tests.security.conftest import Canary
from tuning.launch.folder import Launch
from tuning.training.data import load_task_data
from tuning.training.loop import fit

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PATIENCE_S = 500
# Everything that Ray pickles into a launch's folder, and would unpickle to restore it.
PICKLES = (
    *("tuner.pkl", "trainable.pkl", "searcher-state-2999-01-01_00-00-00.pkl"),
    *("experiment_state-2999-01-01_00-00-00.json", "search_gen_state-2999-01-01_00-00-00.json"),
    *("basic-variant-state-2999-01-01_00-00-00.json", "callback-states-2999-01-01_00-00-00.pkl"),
)
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "canary-of-the-cloud/1",
    "MLFLOW_TRACKING_PASSWORD": "canary-of-mlflow-2",
    "OPTUNA_STORAGE": "postgresql://anna:canary-of-optuna-3@db/x",
    "CHROMATUNE_SERVE_TOKEN": "canary-of-the-server-4",
    "RAY_AUTH_TOKEN": "canary-of-ray-5",
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As a trial has: with more of them sums come out otherwise in the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def trap(launch: Launch, prepared: PreparedDataset, canary: Canary) -> Launch:
    """A launch that was struck after its first epoch, with a bomb wherever Ray keeps a pickle."""
    (training,) = launch.trainings
    folder = Path(launch.storage.uri)
    first = next(fit(training.fit, load_task_data(prepared, "regression")))
    trial = folder / training.training_id
    first.state.save(trial / "checkpoint_000000")
    for name in PICKLES:
        (folder / name).write_bytes(canary.bomb)
    for name in ("error.pkl", "params.pkl", "checkpoint_000000/.metadata.json", "progress.pkl"):
        (trial / name).write_bytes(canary.bomb)
    (trial / "checkpoint_000001").mkdir()
    for name in ("state.json", "dict_checkpoint.pkl", "model-0.safetensors"):
        (trial / "checkpoint_000001" / name).write_bytes(canary.bomb)
    return launch


def test_a_handed_launch_is_gone_on_with_and_nothing_in_it_is_run(
    trap: Launch, prepared: PreparedDataset, canary: Canary, tmp_path: Path
) -> None:
    with _resumed(trap, tmp_path) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert canary.lives
    assert not [
        name for name in PICKLES if "2999" in name and (Path(trap.storage.uri) / name).exists()
    ]

    # It went on from the checkpoint, and came to what an undisturbed training comes to.
    (training,) = trap.trainings
    *_, last = fit(training.fit, load_task_data(prepared, "regression"))
    cell = Path(trap.storage.uri) / training.training_id / "cells" / training.cells[-1].cell_id
    for name, tensor in load_file(cell / "model.safetensors").items():
        assert tensor.equal(last.state.model.state_dict()[name]), name

    shown = out + err
    written = [path for path in _written(tmp_path, process.pid) if path.is_file()]
    assert len(written) > 20
    for secret in ("canary-of-the-cloud/1", "canary-of-mlflow-2", "canary-of-optuna-3"):
        assert secret not in shown
    for secret in SECRETS.values():
        assert [path for path in written if secret.encode() in path.read_bytes()] == []


@contextlib.contextmanager
def _resumed(launch: Launch, folder: Path) -> Iterator[subprocess.Popen[str]]:
    words = ["resume", launch.storage.uri, "--tracking-uri", f"sqlite:///{folder}/mlruns/mlflow.db"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tuning", *words],
        cwd=folder,
        env=os.environ | SECRETS | {"PYTHONPATH": os.pathsep.join(filter(None, ["", *sys.path]))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for pid in [*descendants(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            process.wait()


def _written(folder: Path, pid: int) -> Iterator[Path]:
    """What the launch wrote: its folder, MLflow's store, and Ray's session with all its logs."""
    yield from folder.rglob("*")
    for session in Path("/tmp/ray").glob(f"session_*_{pid}"):
        yield from session.rglob("*")
