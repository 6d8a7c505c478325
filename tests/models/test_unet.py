"""The U-Net and the residual net: counted by hand, and held to what they say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from models import create_model, create_model_from_spec, model_info


def conv_norm(inputs: int, outputs: int, side: int = 3) -> int:
    """Weights of a convolution without bias, and of its normalization."""
    return inputs * outputs * side * side + 2 * outputs


def block(inputs: int, outputs: int) -> int:
    return conv_norm(inputs, outputs) + conv_norm(outputs, outputs)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_default_unet_has_the_layers_it_should() -> None:
    encoder = block(4, 32) + block(32, 64) + block(64, 128) + block(128, 256)
    context = 256 * 64 + 64 + 64 * 256 + 256
    raised = (256 * 128 + 128) + (128 * 64 + 64) + (64 * 32 + 32)
    decoder = block(256, 128) + block(128, 64) + block(64, 32)
    planes = 32 * 2 + 2
    expected = encoder + context + raised + decoder + planes
    assert parameters(create_model("unet")) == expected
    assert parameters(create_model("unet_mean")) == expected


def test_a_unet_stops_doubling_at_sixteen_times_its_width() -> None:
    model = create_model("unet", width=8, depth=5, image_size=64)
    widths = [m.out_channels for m in model.body.encoder.modules() if isinstance(m, nn.Conv2d)]
    assert widths[::2] == [8, 16, 32, 64, 128, 128]


def test_the_default_resnet_has_the_layers_it_should() -> None:
    def stage(before: int, after: int) -> int:
        return block(before, after) + conv_norm(before, after, 1) + block(after, after)

    stages = stage(32, 32) + stage(32, 64) + stage(64, 128) + stage(128, 256)
    assert parameters(create_model("resnet")) == conv_norm(4, 32) + stages + 256 * 2 + 2


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 5},
        {"norm": "group"},
        {"upsampling": "nearest"},
        {"upsampling": "transposed"},
        {"width": 24, "dropout": 0.3},
    ],
    ids=str,
)
def test_every_setting_gives_whole_planes_and_gradients(settings: dict[str, Any]) -> None:
    model = create_model("unet", head="tanh", image_size=64, **{"width": 8, **settings})
    L = torch.rand(2, 1, 64, 64)
    assert model(L).shape == (2, 2, 64, 64)
    model.loss(L, torch.rand(2, 2, 64, 64)).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_group_norm_makes_a_picture_independent_of_its_batch() -> None:
    torch.manual_seed(0)
    model = create_model("unet", head="tanh", image_size=64, width=8, norm="group").train()
    L = torch.rand(4, 1, 64, 64)
    torch.testing.assert_close(model(L)[:1], model(L[:1]))


def test_the_mean_of_a_unet_is_the_mean_of_its_planes() -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"head": "tanh", "image_size": 64, "width": 8}
    colorizer = create_model("unet", **settings).eval()
    regressor = create_model("unet_mean", **settings).eval()
    regressor.load_state_dict(colorizer.state_dict())  # the very same network
    L = torch.rand(3, 1, 64, 64)
    torch.testing.assert_close(regressor(L), colorizer(L).mean(dim=(2, 3)))
    assert (regressor.task, model_info("unet_mean").trained_on) == ("regression", "planes")
    target = torch.rand(3, 2, 64, 64)
    torch.testing.assert_close(regressor.loss(L, target), colorizer.loss(L, target))


@pytest.mark.parametrize("name", ["unet", "unet_mean", "resnet"])
def test_flip_averaging_cannot_tell_a_picture_from_its_mirror_image(name: str) -> None:
    torch.manual_seed(0)
    plain = create_model(name, head="tanh", image_size=64, width=8).eval()
    model = create_model(name, head="tanh", image_size=64, width=8, flip_average=True).eval()
    model.load_state_dict(plain.state_dict())
    L = torch.rand(3, 1, 64, 64)
    once, mirrored = model(L), model(L.flip(-1))
    assert not torch.equal(plain(L), plain(L.flip(-1)))
    torch.testing.assert_close(mirrored.flip(-1) if mirrored.ndim == 4 else mirrored, once)
    other = plain(L.flip(-1))
    torch.testing.assert_close(
        once, (plain(L) + (other.flip(-1) if other.ndim == 4 else other)) / 2
    )
    assert create_model_from_spec(model.spec).flip_average
    assert torch.equal(model.train().raw(L), plain.train().raw(L))  # training is as without
