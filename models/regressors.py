"""Regressors: from a picture's lightness to its mean a and mean b, as in the paper.

Each begins by stretching every picture's lightness to the whole of [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from models.errors import checked_widths
from models.registry import register_model

# Seven convolutions of stride 2 bring any side up to 128 px down to a single pixel. Below 16 px
# most of them would see nothing but that pixel.
_CNN_SIZES = range(16, 129)
_FC_SIZES = range(16, 129)


class MinMaxScale(nn.Module):
    """Scale each picture of (N, 1, H, W) to [0, 1] by its own extremes; an even picture to 0."""

    def forward(self, L: Tensor) -> Tensor:
        low = L.amin(dim=(1, 2, 3), keepdim=True)
        high = L.amax(dim=(1, 2, 3), keepdim=True)
        # Two grey levels lie at least 1/255 apart: the bound only keeps an even picture from 0/0.
        return (L - low) / (high - low).clamp(min=1e-6)


@register_model(task="regression", heads=("relu", "tanh"), image_sizes=_FC_SIZES)
def fc(image_size: int, hidden: Sequence[int] = (8192, 4096, 1024, 256)) -> nn.Module:
    """Build the fully connected network: 172 million parameters at 128 px."""
    checked_widths("fc", "hidden", hidden)
    return nn.Sequential(MinMaxScale(), nn.Flatten(), *_linear(image_size**2, hidden, relu=True))


@register_model(task="regression", heads=("relu", "tanh"), image_sizes=_CNN_SIZES)
def cnn1(
    image_size: int,  # noqa: ARG001  (every valid side ends at 1 px)
    channels: Sequence[int] = (3, 3, 3, 3, 3, 3, 2),
) -> nn.Module:
    """Build the paper's smallest convolutional network: three feature maps a layer."""
    return _cnn("cnn1", channels, hidden=())


@register_model(task="regression", heads=("relu", "tanh"), image_sizes=_CNN_SIZES)
def cnn2(
    image_size: int,  # noqa: ARG001  (every valid side ends at 1 px)
    channels: Sequence[int] = (16, 32, 64, 128, 256, 256, 256),
    hidden: Sequence[int] = (64,),
) -> nn.Module:
    """Build the convolutional network that the paper chose."""
    return _cnn("cnn2", channels, hidden)


@register_model(task="regression", heads=("relu", "tanh"), image_sizes=_CNN_SIZES)
def cnn3(
    image_size: int,  # noqa: ARG001  (every valid side ends at 1 px)
    channels: Sequence[int] = (32, 64, 128, 256, 256, 512, 512),
    hidden: Sequence[int] = (128,),
) -> nn.Module:
    """Build the paper's largest convolutional network."""
    return _cnn("cnn3", channels, hidden)


def _cnn(name: str, channels: Sequence[int], hidden: Sequence[int]) -> nn.Module:
    checked_widths(name, "channels", channels, count=7)
    checked_widths(name, "hidden", hidden)
    layers: list[nn.Module] = [MinMaxScale()]
    for before, after in pairwise((1, *channels)):
        layers += [nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1), nn.ReLU()]
    # The paper has no activation between the linear layers of its convolutional networks.
    return nn.Sequential(*layers, nn.Flatten(), *_linear(channels[-1], hidden, relu=False))


def _linear(inputs: int, hidden: Sequence[int], *, relu: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *hidden)):
        layers += [nn.Linear(before, after), nn.ReLU()] if relu else [nn.Linear(before, after)]
    return [*layers, nn.Linear((inputs, *hidden)[-1], 2)]
