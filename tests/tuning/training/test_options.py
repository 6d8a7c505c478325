"""Options beyond the original paper: each against the loop written out by hand."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from models import create_model
from tests.tuning.training.builders import (
    EVERY_OPTION,
    UNET,
    MakeData,
    assert_same_bits,
    config,
    trained,
)
from tuning.errors import ChromatuneError
from tuning.training import loop as engine
from tuning.training.batches import Batch, Batches
from tuning.training.config import FitConfig
from tuning.training.loop import fit
from tuning.training.losses import training_loss
from tuning.training.metrics import evaluate

CPU = torch.device("cpu")


def test_the_term_of_the_category_is_its_cross_entropy() -> None:
    settings: dict[str, Any] = {**UNET, "categories": 3}
    model = create_model("unet", head="tanh", image_size=64, **settings).eval()
    L, target, category = torch.rand(2, 1, 64, 64), torch.rand(2, 2, 64, 64), torch.tensor([2, 0])
    batch = Batch(L, target, category)
    with torch.no_grad():
        planes, scores = model.raw_with_categories(L)
        plain = training_loss(config("unet", model_kwargs=settings), model, batch)
        got = training_loss(
            config("unet", model_kwargs=settings, category_weight=0.5), model, batch
        )
    assert torch.equal(planes, model.raw(L))
    surprise = -(scores.softmax(dim=1)[[0, 1], category]).log().mean()
    torch.testing.assert_close(got, plain + 0.5 * surprise)


def test_too_few_categories_are_refused(make_data: MakeData) -> None:
    data = make_data("colorizer")
    shown = dataclasses.replace(data.train, categories=np.arange(len(data.train)))
    data = dataclasses.replace(data, train=shown)
    settings = config("unet", model_kwargs={**UNET, "categories": 9}, category_weight=1.0)
    with pytest.raises(ChromatuneError, match="shows 10 categories, but the model has 9"):
        fit(settings, data)


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_losses_and_the_term_of_the_mean(loss: str) -> None:
    model = create_model("unet", head="tanh", image_size=64, **UNET).eval()
    L, target = torch.rand(2, 1, 64, 64), torch.rand(2, 2, 64, 64)
    with torch.no_grad():
        off = model.raw(L) - (target * 2 - 1)
        got = training_loss(
            config("unet", loss=loss, mean_weight=3.0), model, Batch(L, target, torch.zeros(2))
        )
    size = off.abs()
    pixels = {
        "mse": off**2,
        "l1": size,
        "huber": torch.where(size < 0.1, off**2 / 2, 0.1 * (size - 0.05)),
    }[loss].mean()
    torch.testing.assert_close(got, pixels + 3 * off.mean(dim=(2, 3)).square().mean())


def test_only_tf32_lets_a_gpu_round_and_only_while_it_trains(
    monkeypatch: pytest.MonkeyPatch, make_data: MakeData
) -> None:
    def flags() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    monkeypatch.setattr(engine, "_train_epoch", lambda *_: torch.tensor(0.5 + sum(flags())))
    before = flags()
    data = make_data("regression")
    batches = len(data.train) // 4
    for precision, allowed in (("float32", 0), ("bfloat16", 0), ("tf32", 2)):
        result = trained(config("cnn1", 1, precision=precision), data)
        assert result.record["train_loss"] == pytest.approx((0.5 + allowed) / batches)
        assert flags() == before


def test_bfloat16_changes_the_loss_by_little_and_leaves_the_weights_float32(
    make_data: MakeData,
) -> None:
    data = make_data("colorizer")
    exact, rounded = (
        trained(config("unet", 2, precision=precision), data)
        for precision in ("float32", "bfloat16")
    )
    assert exact.record["train_loss"] != rounded.record["train_loss"]
    assert rounded.record["train_loss"] == pytest.approx(exact.record["train_loss"], rel=0.02)
    assert {p.dtype for p in rounded.state.model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("keep_by", "scores"),
    [(None, [0.5, 0.2, 0.2, 0.4, 0.1]), ("val_ssim", [0.1, 0.7, 0.7, 0.3, 0.9])],
)
def test_the_best_state_is_kept_and_patience_waits_for_a_better_one(
    keep_by: str | None, scores: list[float], make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = keep_by or "val_mse"
    # The other metric is at its best in epoch 3.
    other = {"val_mse": [0.5, 0.4, 0.1, 0.2, 0.3], "val_ssim": [0.1, 0.2, 0.9, 0.3, 0.4]}
    rows = (dict(zip(other, row, strict=True)) for row in zip(*other.values(), strict=True))
    figures = ({**row, name: score} for row, score in zip(rows, scores, strict=True))
    monkeypatch.setattr(engine, "evaluate", lambda *_, **__: next(figures))
    data = make_data("colorizer")
    settings = config("unet", 9, keep="best", patience=2, keep_by=keep_by)
    ends, weights = [], []
    for result in fit(settings, data):
        ends.append((result.record["epoch"], result.milestone, result.last))
        weights.append(copy.deepcopy(result.state.model.state_dict()))
    assert ends == [*((epoch, False, False) for epoch in (1, 2, 3)), (4, True, True)]
    model, record = result.state.kept()
    assert (record["epoch"], record[name]) == (2, scores[1])  # of equal ones the first
    assert_same_bits(model.state_dict(), weights[1])
    assert not torch.equal(model.body.planes.weight, result.state.model.body.planes.weight)
    assert list(fit(settings, data, state=result.state)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": "best", "keep_by": "val_sism"}, "did you mean 'val_ssim'"),
        ({"keep": "best", "keep_by": "test_psnr"}, "is not a metric of colorizer"),
        ({"keep_by": "val_ssim"}, "keep_by needs keep='best' or patience"),
        ({"eval_metrics": "val_sism"}, "eval_metrics 'val_sism' .* did you mean 'val_ssim'"),
    ],
)
def test_a_metric_to_keep_by_must_be_measured(options: Any, message: str) -> None:
    with pytest.raises(ChromatuneError, match=message):
        config("unet", 2, **options)


def test_a_metric_that_few_pictures_lack_ends_the_training(make_data: MakeData) -> None:
    settings = config("unet", 2, keep="best", keep_by="val_ssim_as_reported")
    with pytest.raises(ChromatuneError, match="3 pictures are too few for val_ssim_as_reported"):
        trained(settings, make_data("colorizer", val=3))


def test_the_kept_model_has_the_score_that_is_told(make_data: MakeData) -> None:
    data = make_data("colorizer")
    model, record = trained(config("unet", 4, **EVERY_OPTION), data).state.kept()
    again = evaluate(model, data.val, "colorizer", names=())
    assert {name: record[name] for name in again} == again
    assert model.flip_average


def test_cuts_are_made_of_originals_and_change_every_epoch(make_data: MakeData) -> None:
    plain = make_data("colorizer", train=8).train
    doubled = copy.copy(plain)
    # Every second row is a copy, and black: none of it may be seen.
    rows = {name: np.repeat(getattr(plain, name), 2, axis=0) for name in "Lab"}
    for plane in rows.values():
        plane[1::2] = 0
    doubled = type(plain)(**rows, mean_ab=np.repeat(plain.mean_ab, 2, axis=0), copies=2)
    batches = Batches(config("unet", flip=True, zoom=0.8), doubled, CPU)
    torch.manual_seed(0)
    epochs = [torch.cat([batch.L for batch in batches.epoch()]) for _ in range(2)]
    assert len(epochs[0]) == 16  # an epoch is as long as before
    assert float(epochs[0].amin()) > 0.05
    assert not torch.equal(*epochs)


def test_the_target_of_a_cut_is_the_mean_of_the_cut(make_data: MakeData) -> None:
    data = make_data("colorizer", train=4)
    batches = Batches(config("resnet", zoom=0.5), data.train, CPU)
    torch.manual_seed(0)
    (cut,) = batches.epoch()
    torch.manual_seed(0)
    (planes,) = Batches(config("unet", zoom=0.5), data.train, CPU).epoch()
    torch.testing.assert_close(cut.target, planes.target.mean(dim=(2, 3)))
    whole = torch.from_numpy(data.train.mean_ab)
    assert not torch.allclose(cut.target.sort(dim=0).values, whole.sort(dim=0).values, atol=1e-3)


def test_without_options_the_batches_are_the_same_every_epoch(make_data: MakeData) -> None:
    data = make_data("colorizer", train=8)
    for shuffle, same in ((False, True), (True, False)):
        batches = Batches(config("unet", shuffle=shuffle), data.train, CPU)
        torch.manual_seed(0)
        first, second = (torch.cat([batch.L for batch in batches.epoch()]) for _ in range(2))
        assert torch.equal(first, second) is same


def test_the_identity_names_only_options_that_are_on() -> None:
    before = {
        *("model", "head", "lr", "batch_size", "weight_decay", "seed", "image_size"),
        "model_kwargs",
    }
    assert set(config("unet").identity()) == before
    assert set(config("unet", flip=True).identity()) == before | {"flip"}
    # How long a schedule is decides its every step.
    two, four = (config("unet", epochs, schedule="cosine") for epochs in (2, 4))
    assert two.identity() != four.identity()
    assert config("unet").identity() == config("unet", 4).identity()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"loss": "mes"},
            "'loss' is wrong: unknown loss; did you mean 'mse'? (valid: mse, l1, huber), got 'mes'",
        ),
        ({"optimizer": "sgd"}, "'optimizer' is wrong: input should be 'adam' or 'adamw'"),
        ({"emma": 0.9}, "unknown key 'emma'; did you mean 'ema'?"),
        ({"lr": 0.0}, "'lr' is wrong: input should be greater than 0, got 0.0"),
        ({"lr": math.nan}, "'lr' is wrong: input should be a finite number"),
        ({"batch_size": 0}, "'batch_size' is wrong"),
        ({"milestones": ()}, "'milestones' is wrong"),
        ({"milestones": (0, 3)}, "'milestones.0' is wrong"),
        ({"milestones": (3, 3)}, "milestones must increase, but are (3, 3)"),
        ({"ema": 1.0}, "'ema' is wrong: input should be less than 1, got 1.0"),
        ({"zoom": 0}, "'zoom' is wrong"),
        ({"mean_weight": 1, "model": "resnet"}, "trained on means"),
        ({"category_weight": 1}, "needs a model with model_kwargs.categories"),
        ({"milestones": (1, 2), "schedule": "cosine"}, "a single milestone"),
    ],
)
def test_wrong_options_are_named(changes: dict[str, Any], says: str) -> None:
    settings = {"model": "unet", "head": "tanh", "lr": 1e-3, "milestones": (3,), **changes}
    with pytest.raises(ChromatuneError) as caught:
        FitConfig(**settings)
    assert says in str(caught.value)
