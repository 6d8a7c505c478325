"""A model file gives back the same model, or says clearly why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import ModelError, create_model, load_model, save_model


@pytest.mark.parametrize(("name", "head"), [("cnn1", "tanh"), ("autoencoder", "sigmoid")])
def test_round_trip_predicts_the_same_bits(tmp_path: Path, name: str, head: str) -> None:
    model = create_model(name, head=head, image_size=64)
    L = torch.rand(4, 1, 64, 64)
    model(L)  # moves BatchNorm's running statistics away from where they start
    save_model(model, tmp_path / "model.safetensors")
    before = torch.get_rng_state()
    loaded = load_model(tmp_path / "model.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert loaded.spec == model.spec
    assert not loaded.training
    assert torch.equal(loaded(L), model.eval()(L))
    assert [item.name for item in tmp_path.iterdir()] == ["model.safetensors"]


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    model = create_model("cnn1")
    for number in range(5):
        save_model(model, tmp_path / f"{number}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_saving_leaves_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(create_model("cnn1"), path)
    old = path.read_bytes()

    def full_disk(_tensors: object, file: Path, _metadata: object) -> None:
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("models.weights.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_model(create_model("cnn1"), path)
    assert path.read_bytes() == old
    assert [item.name for item in tmp_path.iterdir()] == ["model.safetensors"]


def test_missing_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match=f"there is no model file at {path}"):
        load_model(path)

    save_model(create_model("cnn1"), path)
    whole = path.read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="is damaged or no model file"):
            load_model(path)

    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="holds no model of Chromatune"):
        load_model(path)


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
def test_a_spec_that_does_not_fit_the_weights_is_refused(tmp_path: Path, spec: str) -> None:
    path = tmp_path / "model.safetensors"
    save_model(create_model("cnn1"), path)
    save_file(load_file(path), path, {"chromatune-model-1": spec})
    with pytest.raises(ModelError, match="does not hold the model it names"):
        load_model(path)
