"""Malicious models and checkpoints: only tensors are read, and no code in them runs."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from models import ModelError, create_model, load_model, save_model
from tests.commands import refusal
from tests.security.conftest import Canary
from tests.security.pictures import picture
from tuning.errors import ChromatuneError
from tuning.launch.checkpoint_choice import newest_first
from tuning.launch.storage import LaunchStorage
from tuning.tracking.fetch_weights import load_logged_weights, load_registered
from tuning.tracking.store import prepare_store
from tuning.training.checkpoint import TrainState
from tuning.training.config import FitConfig

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

NAME = "faces-colorizer"
FIT = FitConfig("cnn1", "relu", 1e-3, (2,), image_size=64)
LOADER = """
flavors:
  python_function:
    loader_module: evil
    code: code
    python_model: python_model.pkl
    cloudpickle_version: 3.0.0
    model_config: {{weights: /etc/passwd}}
  pytorch: {{model_data: data, code: code, pickle_module_name: pickle}}
artifact_path: model
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    prepare_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(database: Path, tmp_path: Path) -> str:
    shutil.copy(database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(uri, uri).create_registered_model(NAME)
    return uri


@pytest.fixture
def register(store: str) -> Callable[[str], str]:
    """Register whatever lies at an address; return the version's URI."""

    def make(source: str) -> str:
        client = MlflowClient(store, store)
        return f"models:/{NAME}/{client.create_model_version(NAME, source).version}"

    return make


@pytest.fixture
def evil(tmp_path: Path, canary: Canary) -> Path:
    """A model of MLflow's with code in every place that MLflow runs code from."""
    folder = tmp_path / "evil"
    code = f"import os\nos.mkdir({str(canary.path)!r})\n"
    for name in ("code/evil.py", "code/models/__init__.py", "pyfunc.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
    (folder / "MLmodel").write_text(LOADER.format())
    (folder / "data").mkdir()
    for name in ("python_model.pkl", "data/model.pth", "data/pickle_module_info.txt"):
        (folder / name).write_bytes(canary.bomb)
    (folder / "artifacts").mkdir()
    return folder


@pytest.mark.parametrize("weights", ["none", "pickle", "torch", "code in the spec"])
def test_a_model_that_runs_code_when_loaded_by_mlflow_is_rejected(
    *, weights: str, evil: Path, canary: Canary, store: str, register: Any
) -> None:
    spec = {"name": "os.mkdir", "head": "relu", "image_size": 64, "kwargs": {}}
    contents = {
        "pickle": canary.bomb,
        "torch": _torch_file(canary.bomb),
        "code in the spec": _safetensors({"chromatune-model-1": json.dumps(spec)}),
    }
    expected = "is damaged or not a model file|do not fit the model it names"
    if weights in contents:
        (evil / "artifacts" / "model.safetensors").write_bytes(contents[weights])
    else:
        expected = "holds no artifacts/model.safetensors: it was not made by this project"
    (evil / "shown.png").write_bytes(picture())
    uri = register(evil.as_uri())
    said = refusal("colorize", f"{evil}/shown.png", "--model", uri, "--tracking-uri", store)
    assert re.search(expected, said)
    assert canary.lives


def test_code_beside_good_weights_is_not_run(
    evil: Path, canary: Canary, store: str, register: Callable[..., str]
) -> None:
    save_model(create_model("autoencoder", image_size=64), evil / "artifacts/model.safetensors")
    assert load_registered(register(evil.as_uri()), store).spec["name"] == "autoencoder"
    assert canary.lives


@pytest.mark.parametrize(
    "source", ["http://evil.example/model", "https://evil.example", "mlflow-artifacts://evil/x"]
)
def test_artifacts_on_another_server_are_not_asked_for(
    source: str, store: str, register: Callable[..., str]
) -> None:
    """MLflow would send the user's tracking password there."""
    with pytest.raises(ChromatuneError, match="on another server than the store"):
        load_logged_weights(register(source), store)


def test_a_path_out_of_the_store_leads_to_nothing_but_weights(
    tmp_path: Path, store: str, register: Callable[..., str]
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "id_rsa").write_text("secret")
    uri = register(f"file://{tmp_path}/store/../secret")
    with pytest.raises(ChromatuneError, match=r"holds no artifacts/model.safetensors"):
        load_logged_weights(uri, store)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("cnn2", {"channels": [10**9, 1, 1, 1]}),
        ("cnn2", {"channels": "x" * 100}),
        ("cnn2", {"channels": [1] * 100_000}),
        ("cnn2", {"categories": 10**12}),
        ("cnn2", {"__class__": "os.mkdir"}),
        ("cnn2", {"hidden": [1] * 20_000}),
        ("resnet", {"blocks": 20_000}),
    ],
)
def test_a_huge_network_in_a_small_file_is_not_built(
    name: str, kwargs: dict[str, Any], tmp_path: Path
) -> None:
    spec = {"name": name, "head": "relu", "image_size": 64, "kwargs": kwargs}
    path = tmp_path / "model.safetensors"
    path.write_bytes(_safetensors({"chromatune-model-1": json.dumps(spec)}))
    with pytest.raises(ModelError):
        load_model(path)


@pytest.mark.parametrize("kind", ["model", "optimizer"])
def test_a_pickle_in_a_checkpoint_is_not_read(kind: str, tmp_path: Path, canary: Canary) -> None:
    """Its digest is right: whoever hands on a folder can make one."""
    state = TrainState.create(FIT)
    for bomb in (canary.bomb, _torch_file(canary.bomb)):
        state.save(tmp_path / "checkpoint_000000")
        _replace(tmp_path / "checkpoint_000000", {kind: bomb})
        with pytest.raises(ChromatuneError, match="is damaged or not a model file"):
            TrainState.load(tmp_path / "checkpoint_000000", FIT)
    assert canary.lives


def test_a_checkpoint_names_no_files_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "cnn1" / "checkpoint_000000"
    TrainState.create(FIT).save(folder)
    _replace(folder, {"../../../up": b"x"}, write=False)
    with pytest.raises(ChromatuneError, match=r"state\.json is damaged: 'files"):
        TrainState.load(folder, FIT)
    assert newest_first(LaunchStorage(tmp_path), "cnn1") == []


def _replace(folder: Path, contents: dict[str, bytes], *, write: bool = True) -> None:
    """Put files into a checkpoint, and make its state agree with them."""
    state = json.loads((folder / "state.json").read_text())
    del state["sha256"]
    for kind, data in contents.items():
        digest = hashlib.sha256(data).hexdigest()
        state["files"][kind] = digest
        if write:
            (folder / f"{kind}-{digest[:16]}.safetensors").write_bytes(data)
    canonical = json.dumps(state, sort_keys=True)
    state["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    (folder / "state.json").write_text(json.dumps(state))


def _torch_file(bomb: bytes) -> bytes:
    """What torch.save writes: a zip whose data.pkl torch.load unpickles."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


def _safetensors(metadata: dict[str, str]) -> bytes:
    header = json.dumps({"__metadata__": metadata}).encode()
    return len(header).to_bytes(8, "little") + header
