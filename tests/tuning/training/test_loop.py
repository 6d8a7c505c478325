"""The training loop: against a loop written out here, and bit for bit against itself."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from models import create_model
from tests.tuning.training.builders import (
    MakeData,
    assert_same_bits,
    config,
    everything,
    trained,
    untimed,
)
from tuning.errors import ChromatuneError
from tuning.training.data import DeviceSplit
from tuning.training.loop import Diverged, fit
from tuning.training.lr_schedule import learning_rate
from tuning.training.metrics import constant_baseline, evaluate
from tuning.training.tasks import CRITERIA, METRICS, Metric

TASKS = {"cnn1": "regression", "cnn2": "regression", "autoencoder": "colorizer"}


@pytest.mark.parametrize("model", sorted(TASKS))
def test_milestones_are_the_exact_states_of_separate_trainings(
    model: str, make_data: MakeData
) -> None:
    data = make_data(TASKS[model], size=128)
    passed = {
        result.record["epoch"]: (untimed(result.record), everything(result.state))
        for result in fit(config(model, 1, 2, 3, image_size=128), data)
        if result.milestone
    }
    assert sorted(passed) == [1, 2, 3]
    for epochs, (record, state) in passed.items():
        alone = trained(config(model, epochs, image_size=128), data)
        assert untimed(alone.record) == record
        assert_same_bits(everything(alone.state), state)


ADAMW = {"optimizer": "adamw", "schedule": "onecycle", "warmup": 0.5, "ema": 0.9}


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("autoencoder", {"head": "relu"}),
        ("autoencoder", {"head": "sigmoid"}),
        ("autoencoder", {"head": "tanh"}),
        ("unet", ADAMW),
    ],
)
def test_training_is_that_of_a_loop_written_out(
    model: str, changes: dict[str, Any], make_data: MakeData
) -> None:
    data = make_data("colorizer", train=11)
    setup = config(model, 3, seed=5, weight_decay=1e-2, **changes)
    state = trained(setup, data).state

    torch.manual_seed(5)
    net = create_model(model, head=setup.head, image_size=64, **setup.model_kwargs).train()
    average = copy.deepcopy(net).state_dict()
    kind = torch.optim.AdamW if changes is ADAMW else torch.optim.Adam
    optimizer = kind(net.parameters(), lr=1e-3, weight_decay=1e-2)
    L = torch.from_numpy(data.train.L / 255).float()[:, None]
    target = torch.from_numpy(np.stack(data.train.planes, axis=1) / 255).float()
    if setup.head == "tanh":
        target = target * 2 - 1
    order = torch.randperm(11, generator=torch.Generator().manual_seed(5))
    losses = []
    for step in range(6):  # two an epoch: the last three pictures never fill a batch
        batch = order[4 * (step % 2) :][:4]
        optimizer.param_groups[0]["lr"] = learning_rate(setup, step / 6)
        loss = ((net.head(net.body(L[batch])) - target[batch]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        decay = min(setup.ema, (1 + step) / (10 + step))
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                average[name].mul_(decay).add_(tensor, alpha=1 - decay)
    told = [record["train_loss"] for record in state.history]
    assert told == pytest.approx([np.mean(losses[i : i + 2]) for i in (0, 2, 4)], rel=1e-3)
    # Adam turns rounding of a gradient near zero into a step of up to lr.
    rounding = {"atol": 3e-3, "rtol": 1e-2} if model == "autoencoder" else {}
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(state.model.state_dict()[name], tensor, **rounding)
        if tensor.is_floating_point():
            torch.testing.assert_close(
                state.validated.state_dict()[name], average[name], **rounding
            )


def test_a_single_batch_may_be_partial(make_data: MakeData) -> None:
    data = make_data("regression", train=3)
    whole = trained(config(batch_size=3), data)
    partial = trained(config(batch_size=100), data)
    assert untimed(partial.record) == untimed(whole.record)


def test_the_seed_alone_decides_and_the_global_generator_is_left_alone(
    make_data: MakeData,
) -> None:
    data = make_data("colorizer")
    setup = config("autoencoder", 3, seed=7)
    before = torch.get_rng_state()
    undisturbed = trained(setup, data)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    for result in fit(setup, data):
        torch.rand(3)  # a caller may draw between epochs
        disturbed = result
    assert_same_bits(everything(undisturbed.state), everything(disturbed.state))
    other = trained(config("autoencoder", 3, seed=8), data)
    assert undisturbed.record["train_loss"] != other.record["train_loss"]


@pytest.mark.parametrize(
    ("milestones", "eval_every", "expected"),
    [
        ((2, 5), 4, [1, 2, 4, 5]),
        ((6,), None, [1, 2, 3, 4, 5, 6]),
        ((61,), None, [1, *range(3, 61, 3), 61]),
    ],
)
def test_epochs_that_are_validated(
    milestones: tuple[int, ...], eval_every: int | None, expected: list[int]
) -> None:
    setup = config("cnn1", *milestones, eval_every=eval_every)
    assert [e for e in range(1, setup.epochs + 1) if setup.is_validated(e)] == expected


@pytest.mark.parametrize(
    ("options", "others"),
    [
        ({}, {"own"}),
        ({"keep": "best", "keep_by": "val_ssim_rgb"}, {"own", "ssim_rgb"}),
        ({"eval_metrics": "val_ssim"}, {"own", "ssim", "ssim_a", "ssim_b"}),
        ({"eval_metrics": "all"}, {"own", *CRITERIA["colorizer"].metrics}),
    ],
)
def test_validations_measure_what_is_asked_for_beside_mse_and_psnr(
    options: dict[str, Any], others: set[str], make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METRICS, "own", Metric("colorizer", True, lambda made, _: made.mean()))
    data = make_data("colorizer", val=7)
    setup = config("unet", 2, **options)
    results = list(fit(setup, data))
    cheap = {f"{name}{plane}" for name in ("mse", "psnr") for plane in ("", "_a", "_b")}
    measured = [
        {name: value for name, value in result.record.items() if name.startswith("val_")}
        for result in results
    ]
    assert measured[0].keys() == {f"val_{name}" for name in cheap | others}
    # A milestone becomes a cell, which has them all.
    assert measured[1] == evaluate(results[1].state.model, data.val, "colorizer", batch_size=4)


def test_records_are_json_and_the_history_holds_them_all(make_data: MakeData) -> None:
    data = make_data("regression")
    records = []
    for result in fit(config("cnn1", 1, 4, eval_every=4), data):
        records.append(dict(result.record))
        result.record["added"] = "by the caller"  # stays out of the history
    assert result.state.history == records
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    plain = {"epoch", "train_loss", "lr", "seconds", "timestamp"}
    metrics = {"val_mse", "val_mse_a", "val_mse_b", "val_rmse_lab_a", "val_rmse_lab_b"}
    assert [set(record) for record in records] == [plain | metrics, plain, plain, plain | metrics]
    assert all(record["seconds"] > 0 and record["lr"] == 1e-3 for record in records)
    timestamps = [record["timestamp"] for record in records]
    assert timestamps == sorted(timestamps)
    measured = evaluate(result.state.model, data.val, "regression", batch_size=4)
    assert measured == {name: records[-1][name] for name in metrics}


@pytest.mark.parametrize(("model", "task"), [("cnn2", "regression"), ("autoencoder", "colorizer")])
def test_it_learns_more_than_the_constant(model: str, task: str, make_data: MakeData) -> None:
    data = make_data(task, train=16)
    setup = config(model, 40, lr=1e-3, batch_size=8, eval_every=40)
    results = list(fit(setup, data))
    assert results[-1].record["train_loss"] < results[0].record["train_loss"] / 2
    learned = evaluate(results[-1].state.model, data.train, task)
    constant = constant_baseline(data.train, data.baseline_ab, task)
    assert learned["val_mse"] < constant["val_mse"]


def test_training_starts_from_given_weights(make_data: MakeData) -> None:
    data = make_data("colorizer")
    weights = trained(config("autoencoder"), data).state.model.state_dict()
    # With all pictures in one batch, the first epoch's loss is that of the weights it starts from.
    model = create_model("autoencoder", head="tanh", image_size=64)
    model.load_state_dict(weights)
    pictures = DeviceSplit(data.train, "planes", torch.device("cpu"))
    expected = model.loss(pictures.pictures(slice(None)), pictures.targets(slice(None))).item()
    setup = config("autoencoder", 1, seed=9, batch_size=10)
    tuned = trained(setup, data, initial_weights=weights)
    assert tuned.record["train_loss"] == pytest.approx(expected, rel=1e-4)


def test_weights_of_another_model_are_refused(make_data: MakeData) -> None:
    foreign = create_model("cnn2", image_size=64).state_dict()
    with pytest.raises(ChromatuneError, match="initial weights do not fit the model cnn1") as error:
        fit(config("cnn1"), make_data("regression"), initial_weights=foreign)
    assert "\n" not in str(error.value)


def test_an_infinite_loss_is_a_diverged_training(make_data: MakeData) -> None:
    results = fit(config("cnn2", 9, head="relu", lr=1e25, eval_every=9), make_data("regression"))
    with pytest.raises(Diverged) as caught:
        list(results)
    error = caught.value
    assert 1 <= error.epoch <= 9
    assert error.name == "train_loss"
    assert not math.isfinite(error.value)
    assert str(error).startswith(f"the training diverged in epoch {error.epoch}: train_loss is")
    again = pickle.loads(pickle.dumps(error))  # as it travels between processes
    assert (again.epoch, again.name, str(again)) == (error.epoch, error.name, str(error))


def test_a_validation_that_is_not_finite_is_a_diverged_training(make_data: MakeData) -> None:
    # One batch a training: its loss is still finite, the weights after its step are not.
    setup = config("cnn2", 1, lr=1e38, batch_size=10)
    with pytest.raises(Diverged, match="diverged in epoch 1: val_mse is nan"):
        list(fit(setup, make_data("regression")))


def test_what_does_not_belong_together_is_refused_before_the_first_epoch(
    make_data: MakeData,
) -> None:
    regression = make_data("regression")
    with pytest.raises(ChromatuneError, match="cnn1 is a model for regression, but the data were"):
        fit(config("cnn1"), make_data("colorizer"))
    with pytest.raises(ChromatuneError, match="image_size 128, but synthetic-tints holds pictures"):
        fit(config("cnn1", image_size=128), regression)
    with pytest.raises(ChromatuneError, match="autoencoder normalizes over a batch"):
        fit(config("autoencoder", batch_size=1), make_data("colorizer"))

    state = trained(config("cnn1", 2), regression).state
    with pytest.raises(ChromatuneError, match="the dataset was prepared otherwise"):
        fit(config("cnn1", 3), make_data("regression", seed=1), state=state)
    with pytest.raises(ChromatuneError, match="at epoch 2, beyond the last milestone 1"):
        fit(config("cnn1", 1), regression, state=state)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
def test_a_gpu_trains_alike(make_data: MakeData) -> None:
    data = make_data("colorizer")
    on_cpu = [r.record["train_loss"] for r in fit(config("autoencoder", 3), data)]
    on_gpu = [r.record["train_loss"] for r in fit(config("autoencoder", 3), data, device="cuda")]
    assert on_gpu == pytest.approx(on_cpu, rel=0.05)
