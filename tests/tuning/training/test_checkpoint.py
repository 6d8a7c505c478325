"""A checkpoint resumes to the same bits; a damaged or foreign one is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tuning.errors import ChromatuneError
from tuning.training import checkpoint_files
from tuning.training.checkpoint import TrainState
from tuning.training.data import TaskData
from tuning.training.loop import FitConfig, fit

MakeData = Callable[..., TaskData]


def config(model: str = "cnn1", milestones: tuple[int, ...] = (4,), **changes: Any) -> FitConfig:
    settings: dict[str, Any] = {
        "head": "relu", "lr": 1e-3, "batch_size": 4, "image_size": 64, **changes
    }  # fmt: skip
    return FitConfig(model=model, milestones=milestones, **settings)


def train(setup: FitConfig, data: TaskData, state: TrainState | None = None) -> TrainState:
    *_, result = fit(setup, data, state=state)
    return result.state


def everything(state: TrainState) -> dict[str, Tensor]:
    """Weights, BatchNorm statistics, moments and step counts of Adam, generators."""
    tensors = dict(state.model.state_dict())
    for name, parameter in state.model.named_parameters():
        for key, value in state.optimizer.state[parameter].items():
            tensors[f"adam {key} {name}"] = value
    return tensors | {f"rng {device}": rng for device, rng in state.rng.items()}


def assert_same_bits(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def untimed(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    timing = ("seconds", "timestamp")
    return [{k: v for k, v in record.items() if k not in timing} for record in history]


@pytest.fixture
def saved(tmp_path: Path, make_data: MakeData) -> Path:
    train(config(milestones=(1,)), make_data("regression")).save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize(
    ("model", "task", "head"),
    [
        ("cnn1", "regression", "relu"),
        ("cnn2", "regression", "tanh"),
        ("cnn3", "regression", "relu"),
        ("autoencoder", "colorizer", "sigmoid"),
    ],
)
def test_resuming_gives_the_bits_of_the_uninterrupted_training(
    model: str, task: str, head: str, tmp_path: Path, make_data: MakeData
) -> None:
    data = make_data(task)
    setup = config(model, (2, 4), head=head)
    for result in fit(setup, data):
        if result.record["epoch"] in (1, 2):
            result.state.save(tmp_path)  # the second replaces the first
    uninterrupted = result.state

    torch.rand(7)  # a new process would find other numbers in the global generator
    loaded = TrainState.load(tmp_path, setup)
    assert loaded.epoch == 2
    resumed = train(setup, data, loaded)
    assert_same_bits(everything(resumed), everything(uninterrupted))
    assert untimed(resumed.history) == untimed(uninterrupted.history)


def test_a_training_may_go_on_beyond_its_first_milestones(saved: Path, make_data: MakeData) -> None:
    data = make_data("regression")
    longer = config(milestones=(3,))
    resumed = train(longer, data, TrainState.load(saved, longer))
    assert_same_bits(everything(resumed), everything(train(longer, data)))


def test_a_checkpoint_before_the_first_epoch(tmp_path: Path, make_data: MakeData) -> None:
    data = make_data("regression")
    TrainState.create(config()).save(tmp_path)
    resumed = train(config(), data, TrainState.load(tmp_path, config()))
    assert_same_bits(everything(resumed), everything(train(config(), data)))


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
    newer = train(config(milestones=(2,)), make_data("regression"))
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


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChromatuneError, match=f"there is no checkpoint in {tmp_path}/gone"):
        TrainState.load(tmp_path / "gone", config())


@pytest.mark.parametrize("name", ["model", "optimizer", "state"])
def test_truncated_files_are_refused(name: str, saved: Path) -> None:
    (file,) = saved.glob(f"{name}*")
    whole = file.read_bytes()
    for length in (0, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ChromatuneError, match=f"the checkpoint in {saved} is damaged"):
            TrainState.load(saved, config())
    file.unlink()
    with pytest.raises(ChromatuneError, match=r"is incomplete|there is no checkpoint"):
        TrainState.load(saved, config())


@pytest.mark.parametrize("name", ["model", "optimizer"])
def test_a_single_changed_byte_is_noticed(name: str, saved: Path) -> None:
    (file,) = saved.glob(f"{name}*")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(ChromatuneError, match=f"{file.name} is not what was written"):
        TrainState.load(saved, config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "state.json is not what was written"),
        ({"history": []}, "state.json is not what was written"),
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
        ({"head": "tanh"}, "its head is 'relu', not 'tanh'"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"lr": 1e-4}, "its lr is 0.001, not 0.0001"),
        ({"batch_size": 5}, "its batch_size is 4, not 5"),
        ({"weight_decay": 0.0}, "its weight_decay is 1e-05, not 0.0"),
        ({"model_kwargs": {"channels": (4,) * 7}}, "its model_kwargs is {}, not {'channels'"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    changes: dict[str, Any], message: str, saved: Path
) -> None:
    with pytest.raises(ChromatuneError, match=f"of another training: {message}"):
        TrainState.load(saved, config(**changes))


def test_a_checkpoint_of_another_dataset_is_refused(saved: Path, make_data: MakeData) -> None:
    state = TrainState.load(saved, config())
    with pytest.raises(ChromatuneError, match="trained on data with the digest digest-of-se"):
        fit(config(), make_data("regression", seed=1), state=state)


def test_a_final_checkpoint_holds_no_weights(tmp_path: Path, make_data: MakeData) -> None:
    data = make_data("regression")
    ended = train(config(milestones=(2,)), data)
    ended.save(tmp_path)
    ended.save(tmp_path, final=True)
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]

    loaded = TrainState.load(tmp_path, config(milestones=(2,)))
    assert loaded.ended
    assert (loaded.epoch, loaded.history) == (2, ended.history)
    assert all(parameter.is_meta for parameter in loaded.model.parameters())  # takes no memory
    assert list(fit(config(milestones=(2,)), data, state=loaded)) == []
    loaded.save(tmp_path)  # still has no weights to write
    assert TrainState.load(tmp_path, config()).ended
    with pytest.raises(ChromatuneError, match="ended at epoch 2 and kept no weights to go on to 4"):
        fit(config(), data, state=loaded)


def test_a_seed_gives_the_same_state_whatever_torch_drew_before() -> None:
    torch.rand(3)
    one = TrainState.create(config(seed=3))
    torch.rand(5)
    assert_same_bits(everything(one), everything(TrainState.create(config(seed=3))))
    other = TrainState.create(config(seed=4))
    first, second = one.model.get_submodule("body.1"), other.model.get_submodule("body.1")
    assert not torch.equal(first.weight, second.weight)  # type: ignore[arg-type]
