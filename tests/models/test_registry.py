"""Every registered model keeps the same promises; invalid names and arguments are rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models import (
    ModelError,
    create_model,
    create_model_from_spec,
    list_models,
    load_model,
    model_info,
    save_model,
)
from models.registry import register_model
from models.regressors import cnn1


def test_who_takes_an_image_size_is_told() -> None:
    assert models.describe_image_size(100) == (
        "Image size 100: models cnn1, cnn2, cnn3, fc, resnet; not autoencoder (needs a multiple of "
        "16); not unet, unet_mean (needs a multiple of 64)"
    )
    assert models.describe_image_size(33) == (
        "Image size 33: models cnn1, cnn2, cnn3, fc; not autoencoder (needs 64 to 512 in steps of "
        "16); not resnet (needs a multiple of 2); not unet, unet_mean (needs 64 to 512 in steps of "
        "64)"
    )
    assert models.describe_image_size(1023).startswith("Image size 1023: no model; ")


# Small widths: what is promised here does not depend on them.
SMALL = {
    "fc": {"hidden": (8, 4)},
    "resnet": {"width": 8},
    "unet": {"width": 8, "depth": 2},
    "unet_mean": {"width": 8, "depth": 2},
}
VARIANTS = [(name, head) for name in list_models() for head in model_info(name).heads]


def small_model(name: str, head: str, image_size: int = 128) -> models.ChromaModel:
    torch.manual_seed(0)
    return create_model(name, head=head, image_size=image_size, **SMALL.get(name, {}))


def pictures(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 1, size, size), generator=generator) / 255


def test_the_registry_holds_the_networks_of_the_report_and_others() -> None:
    regressors, colorizers = ["cnn1", "cnn2", "cnn3", "fc"], ["autoencoder"]
    assert list_models("regression") == [*regressors, "resnet", "unet_mean"]
    assert list_models("colorizer") == [*colorizers, "unet"]
    assert list_models() == sorted([*regressors, *colorizers, "resnet", "unet", "unet_mean"])
    assert model_info("cnn2").heads == ("relu", "tanh")
    assert model_info("autoencoder").heads == ("relu", "sigmoid", "tanh")


@pytest.mark.parametrize(("name", "head"), VARIANTS)
def test_predictions_have_the_shape_of_the_task_and_stay_in_the_unit_range(
    name: str, head: str
) -> None:
    model = small_model(name, head).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)  # far outside of what the initial weights reach
        predicted = model(pictures(3, 128))
    planes = (128, 128) if model_info(name).task == "colorizer" else ()
    assert predicted.shape == (3, 2, *planes)
    assert predicted.dtype == torch.float32
    assert predicted.min() >= 0
    assert predicted.max() <= 1


@pytest.mark.parametrize("name", list_models())
def test_every_parameter_learns(name: str) -> None:
    model = small_model(name, "tanh")
    for module in model.modules():
        bias = getattr(module, "bias", None)
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and bias is not None:
            nn.init.constant_(bias, 0.1)  # keeps every ReLU awake
    L = pictures(4, 128)
    model.loss(L, torch.full_like(model.raw(L), 0.9)).backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.isfinite().all(), label
    # A convolution's bias in front of a BatchNorm is taken away again: its gradient is only noise.
    *_, last = (
        m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    )
    assert last.weight.grad is not None
    assert last.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("name", "head"), VARIANTS)
def test_a_file_gives_back_the_same_bits(name: str, head: str, tmp_path: Path) -> None:
    model = small_model(name, head, image_size=64)
    L = pictures(2, 64)
    model(L)  # moves BatchNorm's running statistics away from where they start
    save_model(model, tmp_path / "model.safetensors")
    before = torch.get_rng_state()
    loaded = load_model(tmp_path / "model.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert loaded.spec == model.spec
    assert not loaded.training
    assert torch.equal(loaded(L), model.eval()(L))
    assert [item.name for item in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("name", "valid", "invalid", "named"),
    [
        ("cnn1", [16, 100, 128], [8, 129, 256, 0, -128, True, 64.0], "16 to 128"),
        ("autoencoder", [64, 80, 128], [48, 100, 528], "64 to 512 in steps of 16"),
        ("fc", [16, 64], [129, 8], "16 to 128"),
    ],
)
def test_image_sizes(name: str, valid: list[int], invalid: list[int], named: str) -> None:
    for size in valid:
        predicted = small_model(name, "relu", image_size=size)(pictures(2, size))
        assert predicted.shape[:2] == (2, 2)
        assert predicted.shape[2:] in [(), (size, size)]
    for size in invalid:
        with pytest.raises(ModelError, match=f"{name} cannot take image_size {size!r}") as caught:
            create_model(name, image_size=size)
        assert f"valid: {named}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cn2", {}, r"unknown model 'cn2'; did you mean 'cnn2'\? \(valid: auto"),
        ("vgg", {}, r"unknown model 'vgg' \(valid: autoencoder, cnn1"),
        ("cnn2", {"head": "tahn"}, "unknown head 'tahn'; did you mean 'tanh'"),
        ("cnn2", {"head": "sigmoid"}, r"cnn2 has no head 'sigmoid' \(valid: relu, tanh\)"),
        ("cnn2", {"chanels": (1,) * 7}, "argument of cnn2 'chanels'; did you mean 'channels'"),
        ("cnn2", {"channels": (1, 2)}, "channels of cnn2 must be 7 numbers, but got 2"),
        ("autoencoder", {"latent": 0}, r"latent of autoencoder must be positive .* got \[0\]"),
        ("fc", {"hidden": "8"}, "hidden of fc must be positive whole numbers"),
        ("fc", {"hidden": (8.0,)}, "hidden of fc must be positive whole numbers"),
        ("unet", {"width": 12}, "width of unet must be a multiple of 8, got 12"),
        ("unet", {"width": 0}, "width of unet must be positive whole numbers"),
        ("unet", {"depth": 6}, "depth of unet must be from 1 to 5, got 6"),
        ("unet", {"depth": 2.0}, "depth of unet must be from 1 to 5, got 2.0"),
        ("unet", {"norm": "bach"}, r"norm of unet 'bach'; did you mean 'batch'\?"),
        ("unet_mean", {"upsampling": 3}, "unknown upsampling of unet '3'"),
        ("unet", {"dropout": 1}, "dropout of unet must be .*, got 1"),
        ("unet", {"categories": -1}, "categories of unet must be 0"),
        ("resnet", {"blocks": 0}, "blocks of resnet must be positive"),
        ("resnet", {"dropout": "much"}, "got 'much'"),
    ],
)
def test_invalid_arguments_are_rejected(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        create_model(name, **settings)


def test_invalid_names_are_rejected() -> None:
    with pytest.raises(ModelError, match="unknown task 'colouring'"):
        list_models("colouring")
    with pytest.raises(ModelError, match="a model spec needs head, image_size"):
        create_model_from_spec({"name": "cnn1"})
    with pytest.raises(ModelError, match="'cnn1' is already registered"):
        register_model(task="regression", heads=("relu",), image_sizes=range(1, 2))(cnn1)
