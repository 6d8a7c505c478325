"""Fuzzing: whatever a file contains, its reader returns a result or raises a clear error.

With CHROMATUNE_FUZZ_MINUTES each reader is tried for so long instead of for a moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
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
from PIL import Image
from safetensors.torch import save

from data_prep import DataError, open_dataset
from data_prep.decode import UnusableError, decode_picture, decode_rgb
from data_prep.sources import ZipSource
from models import ModelError, create_model, load_model, save_model
from tests.data_prep.builders import saved
from tests.data_prep.profiles import P3, SRGB_CURVE, cmyk_profile, matrix_profile
from tests.security.mutations import documents, files
from tests.security.pictures import FORMATS, picture
from tuning.config.schema import (
    GridLaunchConfig,
    TrainingConfig,
    TrainLaunchConfig,
    configs_folder,
    read_yaml,
    resolve,
)
from tuning.config.search import SearchLaunchConfig, read_points
from tuning.errors import ChromatuneError
from tuning.launch.checkpoint_choice import newest_first
from tuning.launch.folder import Launch, list_launches, open_launch
from tuning.launch.outcomes import cell_outcomes, has_ended
from tuning.launch.records import read_cell
from tuning.launch.storage import LaunchStorage
from tuning.search.space_file import read_space
from tuning.tracking.expected_runs import LaunchPlan
from tuning.training.checkpoint import TrainState
from tuning.training.config import FitConfig
from tuning.training.data import load_task_data
from tuning.workflows.address_checks import cluster_of, store_of

MINUTES = float(os.environ.get("CHROMATUNE_FUZZ_MINUTES", 0))
FIT = FitConfig("cnn1", "relu", 1e-3, (2,), image_size=64)
CLEAR = (ChromatuneError, DataError, ModelError, UnusableError)

Try = Callable[..., None]


@pytest.fixture
def attempt() -> Try:
    """Read what a strategy draws, from a file at `path` if given: a result or a clear error."""

    def run(
        examples: int,
        strategy: st.SearchStrategy[Any],
        read: Callable[[Any], object],
        path: Path | None = None,
    ) -> None:
        end = time.monotonic() + 60 * MINUTES

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
            if MINUTES and time.monotonic() > end:
                return
            if path is not None:
                path.write_bytes(item)
            with warnings.catch_warnings(), contextlib.suppress(*CLEAR):
                warnings.simplefilter("ignore")  # Pillow's and NumPy's, about what they then reject
                read(path or item)

        check()
        while time.monotonic() < end:
            check()

    return run


@pytest.mark.parametrize("kind", [*FORMATS, "HEIF"])
def test_pictures(kind: str, attempt: Try) -> None:
    assert decode_rgb(picture(kind)).rgb.shape == (30, 40, 3)

    def read(data: bytes) -> None:
        assert decode_rgb(data).rgb.ndim == 3
        decode_picture(data, 64)

    attempt(70, files(picture(kind)) | st.binary(max_size=200), read)


def test_colour_profiles(attempt: Try) -> None:
    profiles = files(matrix_profile(P3, SRGB_CURVE)) | files(cmyk_profile())

    def read(profile: bytes) -> None:
        for mode in ("RGB", "CMYK", "L"):
            image = Image.new(mode, (16, 16), "red")
            assert decode_rgb(saved(image, "TIFF", icc_profile=profile)).rgb.shape == (16, 16, 3)

    attempt(70, profiles, read)


def test_zips(tmp_path: Path, attempt: Try) -> None:
    good = tmp_path / "good.zip"
    with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, kind in enumerate(("PNG", "JPEG")):
            archive.writestr(f"s{number}/{number}.{kind.lower()}", picture(kind, (9, 9)))

    def read(path: Path) -> None:
        with contextlib.closing(ZipSource(path)) as source:
            for name in source.list().names:
                source.read(name)

    attempt(70, files(good.read_bytes()), read, tmp_path / "changed.zip")


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("grid_regression", GridLaunchConfig),
        ("champion_colorizer_ncd", TrainLaunchConfig),
        ("search_regression", SearchLaunchConfig),
        ("points", None),
    ],
)
def test_yaml(name: str, schema: Any, tmp_path: Path, attempt: Try) -> None:
    file = configs_folder() / f"{name}.yaml"
    good = file.read_bytes() if schema else b"- {lr: 1.0e-3, model: unet}\n- lr: 1.0\n"
    texts = documents(yaml.safe_load(good)).map(lambda changed: yaml.safe_dump(changed).encode())
    attempt(
        40,
        files(good) | texts | st.binary(max_size=60),
        (lambda path: resolve(schema, file=path)) if schema else read_points,
        tmp_path / "changed.yaml",
    )


def test_overrides(attempt: Try) -> None:
    keys = st.sampled_from(("training.seed", "grid.lrs", "data", "grid.epochs.0", "x", ""))
    odd = ("[1", "{a: [", "*a", "&a [*a]", "!!x y", "1e9999", "2020-99-01")
    words = st.builds("{}={}".format, keys | st.text(), st.text() | st.sampled_from(odd))
    axes = {"grid": {"models": ["cnn1"], "heads": ["relu"]}}
    attempt(
        80,
        st.lists(words | st.text(), max_size=3),
        lambda overrides: resolve(GridLaunchConfig, defaults=axes, overrides=overrides),
    )


@pytest.mark.parametrize("task", ["regression", "colorizer"])
def test_search_spaces(task: Any, attempt: Try) -> None:
    good = read_yaml(configs_folder() / f"search_{task}.yaml")["search"]["space"]
    spaces = documents(good).filter(lambda changed: isinstance(changed, dict) and changed)
    attempt(30, spaces, lambda space: read_space(task, space, TrainingConfig(), 64))


def test_manifests(dataset_copy: Path, attempt: Try) -> None:
    def read(path: Path) -> None:
        dataset = open_dataset(path.parent)
        assert "/" not in dataset.name
        for task in ("regression", "colorizer"):
            load_task_data(dataset, task)  # type: ignore[arg-type]

    manifest = dataset_copy / "manifest.json"
    attempt(70, _json(json.loads(manifest.read_text())), read, manifest)


def test_arrays(dataset_copy: Path, attempt: Try) -> None:
    array = dataset_copy / "val" / "L.npy"
    good = files(array.read_bytes())
    attempt(30, good, lambda _: open_dataset(dataset_copy).planes("val"), array)


def test_launches(launch: Launch, attempt: Try) -> None:
    def read(path: Path) -> None:
        root = str(path.parents[1])
        list_launches(root)
        opened = open_launch(str(path.parent), root)
        for training in opened.trainings:
            has_ended(opened.storage, training)
        store_of(opened, None)
        cluster_of(opened, None)
        LaunchPlan(opened.storage)
        assert {file.name for file in path.parent.iterdir()} == {"launch.json"}

    path = Path(launch.storage.uri) / "launch.json"
    attempt(80, _json(json.loads(path.read_text())), read, path)


@pytest.mark.parametrize("name", ["cell.json", "failed.json"])
def test_cells(name: str, launch: Launch, attempt: Try) -> None:
    (training,) = launch.trainings
    cell_id = training.cells[0].cell_id
    good = {
        "cell_id": cell_id,
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
    folder = f"cells/{cell_id}/" if name == "cell.json" else ""
    path = Path(launch.storage.uri) / training.training_id / f"{folder}{name}"
    path.parent.mkdir(parents=True)

    def read(_: Path) -> None:
        cell_outcomes(launch, {})
        plan = LaunchPlan(launch.storage)
        ((training_id, cells),) = plan.trainings.items()
        plan.failure(training_id)
        for cell in cells:
            if cell.cell_id in plan.ended_cells(training_id):
                read_cell(launch.storage, training_id, cell.cell_id)

    attempt(50, _json(good), read, path)


def test_checkpoints(tmp_path: Path, attempt: Try) -> None:
    folder = tmp_path / "cnn1" / "checkpoint_000000"
    state = TrainState.create(FIT)
    state.epoch_ended(1, {"epoch": 1, "val_mse": 0.1, "train_loss": 0.2})
    state.save(folder)
    good = json.loads((folder / "state.json").read_text())
    del good["sha256"]

    def read(_: Path) -> None:
        newest_first(LaunchStorage(tmp_path), "cnn1")
        TrainState.load(folder, FIT)

    attempt(70, documents(good).map(_signed), read, folder / "state.json")


@pytest.mark.parametrize("kind", ["model", "optimizer"])
def test_tensors_of_checkpoints(kind: str, tmp_path: Path, attempt: Try) -> None:
    state = TrainState.create(FIT)
    state.save(tmp_path)
    (path,) = tmp_path.glob(f"{kind}-*.safetensors")
    content = json.loads((tmp_path / "state.json").read_text())
    del content["sha256"]
    names = ["rng/cpu", "step/x", "x", "exp_avg/", *state.model.state_dict()]
    shapes = st.lists(st.integers(0, 3), max_size=3)
    tensors = st.dictionaries(st.sampled_from(names), st.builds(torch.zeros, shapes), max_size=4)

    def read(data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        (tmp_path / f"{kind}-{digest[:16]}.safetensors").write_bytes(data)
        changed = {**content, "files": {**content["files"], kind: digest}}
        (tmp_path / "state.json").write_bytes(_signed(changed))
        with TrainState.load(tmp_path, FIT).own_rng():
            torch.rand(1)

    attempt(50, files(path.read_bytes()) | tensors.map(save), read)


@pytest.mark.parametrize("name", ["cnn2", "unet", "resnet"])
def test_models(name: str, tmp_path: Path, attempt: Try) -> None:
    path = tmp_path / "model.safetensors"
    save_model(create_model(name, image_size=64, head="relu" if name == "cnn2" else "tanh"), path)
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    spec = json.loads(header["__metadata__"]["chromatune-model-1"])

    def changed(document: Any) -> bytes:
        metadata = {"__metadata__": {"chromatune-model-1": json.dumps(document)}}
        raw = json.dumps({**header, **metadata}).encode()
        return len(raw).to_bytes(8, "little") + raw + good[8 + length :]

    specs = documents(spec).map(changed)
    # The header of the smallest model is also changed byte by byte.
    strategy = specs | files(good[: 8 + length]) if name == "cnn2" else specs
    attempt(50, strategy, load_model, path)


def _signed(document: Any) -> bytes:
    """A checkpoint's state with the right digest, as an attacker would write it."""
    if isinstance(document, dict):
        canonical = json.dumps(document, sort_keys=True)
        document = {**document, "sha256": hashlib.sha256(canonical.encode()).hexdigest()}
    return json.dumps(document).encode()


def _json(good: Any) -> st.SearchStrategy[bytes]:
    """JSON files that differ from a good one in some values or bytes."""
    texts = documents(good).map(lambda changed: json.dumps(changed).encode())
    return texts | files(json.dumps(good).encode())
