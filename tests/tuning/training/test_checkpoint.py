"""A checkpoint resumes to the same bits; a damaged or foreign one is refused in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.tuning.training.builders import (
    EVERY_OPTION,
    MakeData,
    assert_same_bits,
    config,
    everything,
    trained,
    untimed,
)
from tuning.errors import ChromatuneError
from tuning.training import checkpoint_files
from tuning.training.checkpoint import TrainState
from tuning.training.loop import fit


@pytest.fixture
def saved(tmp_path: Path, make_data: MakeData) -> Path:
    trained(config("cnn1", 1), make_data("regression")).state.save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize(
    ("model", "task", "milestones", "changes"),
    [
        ("cnn1", "regression", (2, 4), {"head": "relu"}),
        ("cnn2", "regression", (2, 4), {}),
        ("cnn3", "regression", (2, 4), {"head": "relu"}),
        ("autoencoder", "colorizer", (2, 4), {"head": "sigmoid"}),
        ("unet", "colorizer", (4,), EVERY_OPTION),
        ("unet_mean", "regression", (4,), EVERY_OPTION),
    ],
)
def test_resuming_gives_the_bits_of_the_uninterrupted_training(
    model: str,
    task: str,
    milestones: tuple[int, ...],
    changes: dict[str, Any],
    tmp_path: Path,
    make_data: MakeData,
) -> None:
    data = dataclasses.replace(make_data("colorizer"), task=task)  # type: ignore[arg-type]
    setup = config(model, *milestones, **changes)
    for result in fit(setup, data):
        if result.record["epoch"] in (1, 2):
            result.state.save(tmp_path)  # the second replaces the first
    uninterrupted = result.state

    torch.rand(7)  # a new process would find other numbers in the global generator
    loaded = TrainState.load(tmp_path, setup)
    assert loaded.epoch == 2
    resumed = trained(setup, data, state=loaded).state
    assert_same_bits(everything(resumed), everything(uninterrupted))
    assert list(map(untimed, resumed.history)) == list(map(untimed, uninterrupted.history))


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_training_may_go_on_from_its_start_and_beyond_its_first_milestones(
    epochs: int, tmp_path: Path, make_data: MakeData
) -> None:
    data, longer = make_data("regression"), config("cnn1", 3)
    first = trained(config("cnn1", epochs), data).state if epochs else TrainState.create(longer)
    first.save(tmp_path)
    resumed = trained(longer, data, state=TrainState.load(tmp_path, longer)).state
    assert_same_bits(everything(resumed), everything(trained(longer, data).state))


def test_a_checkpoint_is_safetensors_and_json(saved: Path) -> None:
    kinds = sorted(item.name.split("-")[0] for item in saved.iterdir())
    assert kinds == ["model", "optimizer", "state.json"]
    content = json.loads((saved / "state.json").read_text())
    assert content["epoch"] == 1
    assert [record["epoch"] for record in content["history"]] == [1]
    for item in saved.glob("*.safetensors"):
        assert load_file(item)


@pytest.mark.parametrize("dies_at", ["model", "optimizer", "state"])
def test_a_save_that_dies_leaves_the_old_checkpoint(
    dies_at: str, saved: Path, make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(TrainState.load(saved, config()))
    newer = trained(config(), make_data("regression")).state
    replace = checkpoint_files._replace

    def dying(scratch: Path, path: Path) -> None:
        if path.name.startswith(dies_at):
            scratch.write_bytes(scratch.read_bytes()[:10])
            raise KeyboardInterrupt
        replace(scratch, path)

    monkeypatch.setattr(checkpoint_files, "_replace", dying)
    with pytest.raises(KeyboardInterrupt):
        newer.save(saved)
    monkeypatch.undo()
    old = TrainState.load(saved, config())
    assert old.epoch == 1
    assert_same_bits(everything(old), before)

    newer.save(saved)  # the next one succeeds and clears away what was left
    assert TrainState.load(saved, config()).epoch == 2
    assert len(list(saved.glob("*.safetensors*"))) == 2


@pytest.mark.parametrize("name", ["model", "optimizer", "state"])
def test_damaged_and_missing_files_are_refused(name: str, saved: Path) -> None:
    (file,) = saved.glob(f"{name}*")
    whole = file.read_bytes()
    changed = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
    for content in (b"", whole[: len(whole) // 2], whole[:-1], changed):
        file.write_bytes(content)
        with pytest.raises(ChromatuneError, match=f"the checkpoint in {saved} is damaged"):
            TrainState.load(saved, config())
    file.unlink()
    with pytest.raises(ChromatuneError, match=f"{file.name} is missing"):
        TrainState.load(saved, config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "state.json is not what was written"),
        ({"files": {}}, "state.json is not what was written"),
        ({"format": "other-1"}, "is no checkpoint of the format chromatune-checkpoint-1"),
    ],
)
def test_a_changed_state_is_noticed(changes: dict[str, Any], message: str, saved: Path) -> None:
    path = saved / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ChromatuneError, match=message):
        TrainState.load(saved, config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "cnn2"}, "its model is 'cnn1', not 'cnn2'"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"weight_decay": 0.0}, "its weight_decay is 1e-05, not 0.0"),
        ({"model_kwargs": {"channels": (4,) * 7}}, "its model_kwargs is {}, not {'channels'"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    changes: dict[str, Any], message: str, saved: Path
) -> None:
    with pytest.raises(ChromatuneError, match=f"of another training: {message}"):
        TrainState.load(saved, config(**changes))


def test_a_final_checkpoint_holds_no_weights(tmp_path: Path, make_data: MakeData) -> None:
    data = make_data("regression")
    ended = trained(config(), data).state
    ended.save(tmp_path)
    ended.save(tmp_path, final=True)
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]

    loaded = TrainState.load(tmp_path, config())
    assert loaded.ended
    assert (loaded.epoch, loaded.history) == (2, ended.history)
    assert all(parameter.is_meta for parameter in loaded.model.parameters())  # takes no memory
    assert list(fit(config(), data, state=loaded)) == []
    loaded.save(tmp_path)  # still has no weights to write
    assert TrainState.load(tmp_path, config()).ended
    with pytest.raises(
        ChromatuneError, match="ended at epoch 2 and kept no weights to continue to 4"
    ):
        fit(config("cnn1", 4), data, state=loaded)
