"""A model file gives back the same model, or a one-line error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from models import ModelError, create_model, load_model, save_model

KEY = "chromatune-model-1"
# SHA-256 of the file that version 0.1.0 wrote.
EARLIER = "c99534baf32e783ce633928ceadfa95b4389d11b10485f9f62ed6984a001cbec"


def test_saving_leaves_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(create_model("cnn1"), path)
    old = path.read_bytes()

    def full_disk(_tensors: object, file: Path, _metadata: object) -> None:
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_model(create_model("cnn1"), path)
    assert path.read_bytes() == old
    assert [item.name for item in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(
    "spec",
    [
        "not json",
        "[]",
        '{"name": "cnn9", "head": "relu", "image_size": 128, "kwargs": {}}',
        '{"name": "cnn2", "head": "relu", "image_size": 128, "kwargs": {}}',
        '{"name": [], "head": "relu", "image_size": 128, "kwargs": {}}',
        '{"name": "cnn1", "head": "relu", "image_size": 128, "kwargs": {"head": "tanh"}}',
    ],
)
def test_a_spec_that_does_not_fit_the_weights_is_rejected(tmp_path: Path, spec: str) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match=f"there is no model file at {path}"):
        load_model(path)
    save_model(create_model("cnn1"), path)
    save_file(load_file(path), path, {KEY: spec})
    with pytest.raises(ModelError, match="do not fit the model it names"):
        load_model(path)
    save_file(load_file(path), path)
    with pytest.raises(ModelError, match="not a Chromatune model"):
        load_model(path)


def test_weights_of_another_type_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = create_model("cnn1")
    wide = {name: tensor.double() for name, tensor in model.state_dict().items()}
    save_file(wide, path, {KEY: json.dumps(model.spec)})
    with pytest.raises(ModelError, match=r"is torch.float64, not torch.float32"):
        load_model(path)


def test_the_bytes_are_those_of_earlier_versions(tmp_path: Path) -> None:
    model = create_model("cnn1", head="tanh", image_size=32)
    for number, tensor in enumerate(model.state_dict().values()):
        tensor.fill_(number / 8)
    save_model(model, tmp_path / "now.safetensors")
    data = (tmp_path / "now.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == EARLIER
