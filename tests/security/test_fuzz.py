"""Whatever is in a file that a user was handed, what comes out is a result or a clear error.

With CHROMATUNE_FUZZ_MINUTES each reader is tried for so long instead of for a moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
import yaml
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from safetensors.torch import save_file

from data_prep import DataError, PreparedDataset, open_dataset
from data_prep.decode import UnusableError, decode_picture, decode_rgb
from data_prep.sources import ZipSource
from models import ModelError, create_model, load_model, save_model
from tests.security.mutations import documents, files
from tests.security.pictures import FORMATS, picture
from tuning.config.schema import (
    FinetuneLaunchConfig,
    GridLaunchConfig,
    TrainingConfig,
    TrainLaunchConfig,
    configs_folder,
    read_yaml,
    resolve,
)
from tuning.config.search import SearchLaunchConfig
from tuning.errors import ChromatuneError
from tuning.launch.attempts import newest_first
from tuning.launch.folder import Launch, list_launches, open_launch
from tuning.launch.outcomes import cell_outcomes, has_ended
from tuning.launch.records import read_cell
from tuning.launch.storage import LaunchStorage
from tuning.search.points import read_points
from tuning.search.space_file import read_space
from tuning.tracking.plan import LaunchPlan
from tuning.training.checkpoint import TrainState
from tuning.training.config import FitConfig
from tuning.training.data import load_task_data
from tuning.workflows.trust import cluster_of, store_of

MINUTES = float(os.environ.get("CHROMATUNE_FUZZ_MINUTES", 0))
FIT = FitConfig("cnn1", "relu", 1e-3, (2,), image_size=64)
CLEAR = (ChromatuneError, DataError, ModelError, UnusableError)

Try = Callable[[int, st.SearchStrategy[Any], Callable[[Any], object]], None]


@pytest.fixture
def attempt(record_property: Callable[[str, object], None]) -> Try:
    """Try a reader with what a strategy draws: it may read it or refuse it, and nothing else."""

    def run(examples: int, strategy: st.SearchStrategy[Any], read: Callable[[Any], object]) -> None:
        end = time.monotonic() + 60 * MINUTES
        tried = 0

        @hypothesis.settings(
            max_examples=1000 if MINUTES else examples,
            deadline=None,
            database=None,
            derandomize=not MINUTES,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(strategy)
        def check(item: Any) -> None:
            nonlocal tried
            if MINUTES and time.monotonic() > end:
                return
            tried += 1
            with warnings.catch_warnings(), contextlib.suppress(*CLEAR):
                warnings.simplefilter("ignore")  # Pillow's and NumPy's, of what they then refuse
                read(item)

        check()
        while time.monotonic() < end:
            check()
        record_property("inputs", tried)

    return run


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures(kind: str, attempt: Try) -> None:
    def read(data: bytes) -> None:
        assert decode_rgb(data)[0].ndim == 3
        decode_picture(data, 64)

    attempt(70, files(picture(kind)) | st.binary(max_size=200), read)


def test_zips(tmp_path: Path, attempt: Try) -> None:
    good = tmp_path / "good.zip"
    with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, kind in enumerate(("PNG", "JPEG")):
            archive.writestr(f"s{number}/{number}.{kind.lower()}", picture(kind, (9, 9)))
    path = tmp_path / "changed.zip"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        source = ZipSource(path)
        try:
            for name in source.list().names:
                source.read(name)
        finally:
            source.close()

    attempt(70, files(good.read_bytes()), read)


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("grid_regression", GridLaunchConfig),
        ("finetune_ncd", FinetuneLaunchConfig),
        ("champion_colorizer_ncd", TrainLaunchConfig),
        ("search_regression", SearchLaunchConfig),
    ],
)
def test_configurations(name: str, schema: Any, tmp_path: Path, attempt: Try) -> None:
    path = configs_folder() / f"{name}.yaml"
    good, changed = read_yaml(path), tmp_path / "changed.yaml"
    texts = documents(good).map(lambda one: yaml.safe_dump(one).encode())

    def read(data: bytes) -> None:
        changed.write_bytes(data)
        resolve(schema, file=changed)

    attempt(30, files(path.read_bytes()) | texts | st.binary(max_size=60), read)


def test_overrides(attempt: Try) -> None:
    keys = (
        st.sampled_from(("training.seed", "grid.lrs", "data", "grid.epochs.0", "x", "")) | st.text()
    )
    values = st.text() | st.sampled_from(
        ("[1", "{a: [", "*a", "&a [*a]", "!!x y", "1e9999", "2020-99-01")
    )
    words = st.builds(lambda key, value: f"{key}={value}", keys, values) | st.text()
    attempt(
        80,
        st.lists(words, max_size=3),
        lambda overrides: resolve(
            GridLaunchConfig,
            defaults={"grid": {"models": ["cnn1"], "heads": ["relu"]}},
            overrides=overrides,
        ),
    )


@pytest.mark.parametrize("task", ["regression", "colorizer"])
def test_search_spaces(task: Any, attempt: Try) -> None:
    good = read_yaml(configs_folder() / f"search_{task}.yaml")["search"]["space"]
    entries = documents(good).filter(lambda one: isinstance(one, dict) and one)
    attempt(30, entries, lambda space: read_space(task, space, TrainingConfig(), 64))


def test_points(tmp_path: Path, attempt: Try) -> None:
    path = tmp_path / "points.yaml"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_points(path)

    attempt(40, files(b"- {lr: 1.0e-3, model: unet}\n- lr: 1.0\n") | st.binary(max_size=60), read)


def test_manifests(prepared: PreparedDataset, tmp_path: Path, attempt: Try) -> None:
    folder = tmp_path / prepared.folder.name
    shutil.copytree(prepared.folder, folder)
    good = json.loads((folder / "manifest.json").read_text())
    texts = documents(good).map(lambda one: json.dumps(one).encode())

    def read(data: bytes) -> None:
        (folder / "manifest.json").write_bytes(data)
        dataset = open_dataset(folder)
        assert "/" not in dataset.name
        for task in ("regression", "colorizer"):
            load_task_data(dataset, task)  # type: ignore[arg-type]

    attempt(70, texts | files(json.dumps(good).encode()), read)


def test_arrays(prepared: PreparedDataset, tmp_path: Path, attempt: Try) -> None:
    folder = tmp_path / prepared.folder.name
    shutil.copytree(prepared.folder, folder)
    good = (folder / "val" / "L.npy").read_bytes()

    def read(data: bytes) -> None:
        (folder / "val" / "L.npy").write_bytes(data)
        open_dataset(folder).planes("val")

    attempt(30, files(good), read)


def test_launches(launch: Launch, attempt: Try) -> None:
    path = Path(launch.storage.uri) / "launch.json"
    root = path.parent.parent
    good = json.loads(path.read_text())
    texts = documents(good).map(lambda one: json.dumps(one).encode())

    def read(data: bytes) -> None:
        path.write_bytes(data)
        list_launches(str(root))
        opened = open_launch(str(path.parent), str(root))
        for training in opened.trainings:
            has_ended(opened, training)
        store_of(opened, None)
        cluster_of(opened, None)
        LaunchPlan(opened.storage)
        assert {one.name for one in path.parent.iterdir()} == {".lock", "launch.json"}

    attempt(80, texts | files(json.dumps(good).encode()), read)


@pytest.mark.parametrize("name", ["cell.json", "failed.json"])
def test_cells(name: str, launch: Launch, attempt: Try) -> None:
    (training,) = launch.trainings
    folder = f"{training.training_id}/cells/{training.cells[0].cell_id}"
    place = f"{folder}/{name}" if name == "cell.json" else f"{training.training_id}/{name}"
    good = {
        "cell_id": training.cells[0].cell_id,
        "params": {"lr": 1e-3},
        "metrics": {"val_mse": 0.1},
        "parameters": 5,
        "history": [{"epoch": 1, "train_loss": 0.2, "seconds": 0.1, "timestamp": 1}],
        "seconds": 0.1,
        "started": 1,
        "ended": 2,
        "outcome": "diverged",
        "message": "the loss is nan",
    }
    path = Path(launch.storage.uri) / place
    path.parent.mkdir(parents=True)

    def read(text: str) -> None:
        path.write_text(text)
        cell_outcomes(launch, {})
        seen = LaunchPlan(launch.storage)
        ((training_id, cells),) = seen.trainings.items()
        seen.failure(training_id)
        for cell in cells:
            if cell.cell_id in seen.ended_cells(training_id):
                read_cell(launch.storage, training_id, cell.cell_id)

    attempt(50, documents(good).map(json.dumps), read)


def test_checkpoints(tmp_path: Path, attempt: Try) -> None:
    storage = LaunchStorage(tmp_path)
    folder = tmp_path / "cnn1" / "checkpoint_000000"
    state = TrainState.create(FIT)
    state.epoch_ended(1, {"epoch": 1, "val_mse": 0.1, "train_loss": 0.2})
    state.save(folder)
    good = json.loads((folder / "state.json").read_text())
    del good["sha256"]

    def write(document: Any) -> str:
        """A document whose own digest is right, as a stranger would make it."""
        if isinstance(document, dict):
            canonical = json.dumps(document, sort_keys=True)
            document = {**document, "sha256": hashlib.sha256(canonical.encode()).hexdigest()}
        return json.dumps(document)

    def read(text: str) -> None:
        (folder / "state.json").write_text(text)
        newest_first(storage, "cnn1")
        TrainState.load(folder, FIT)

    attempt(70, documents(good).map(write), read)


@pytest.mark.parametrize("kind", ["model", "optimizer"])
def test_tensors_of_checkpoints(kind: str, tmp_path: Path, attempt: Try) -> None:
    state = TrainState.create(FIT)
    state.save(tmp_path)
    (path,) = tmp_path.glob(f"{kind}-*.safetensors")
    good, content = path.read_bytes(), json.loads((tmp_path / "state.json").read_text())
    names = ["rng/cpu", "step/x", "x", "exp_avg/", *state.model.state_dict()]
    shapes = st.lists(st.integers(0, 3), max_size=3)
    tensors = st.dictionaries(
        st.sampled_from(names), st.builds(torch.zeros, shapes), max_size=4
    ).map(lambda one: _safetensors(one, tmp_path))

    def read(data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        (tmp_path / f"{kind}-{digest[:16]}.safetensors").write_bytes(data)
        document = {**content, "files": {**content["files"], kind: digest}}
        del document["sha256"]
        canonical = json.dumps(document, sort_keys=True)
        document["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
        (tmp_path / "state.json").write_text(json.dumps(document))
        loaded = TrainState.load(tmp_path, FIT)
        with loaded.own_rng():
            torch.rand(1)

    attempt(50, files(good) | tensors, read)


@pytest.mark.parametrize("name", ["cnn2", "unet", "resnet"])
def test_models(name: str, tmp_path: Path, attempt: Try) -> None:
    path = tmp_path / "model.safetensors"
    save_model(create_model(name, image_size=64, head="relu" if name == "cnn2" else "tanh"), path)
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    spec = json.loads(header["__metadata__"]["chromatune-model-1"])

    def changed(document: Any) -> bytes:
        text = json.dumps(document)
        metadata = {"__metadata__": {"chromatune-model-1": text}}
        raw = json.dumps({**header, **metadata}).encode()
        return len(raw).to_bytes(8, "little") + raw + good[8 + length :]

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_model(path)

    specs = documents(spec).map(changed)
    # Of the small one the header is changed byte by byte, too.
    attempt(50, specs | files(good[: 8 + length]) if name == "cnn2" else specs, read)


def _safetensors(tensors: dict[str, torch.Tensor], folder: Path) -> bytes:
    save_file(tensors, folder / "drawn")
    return (folder / "drawn").read_bytes()
