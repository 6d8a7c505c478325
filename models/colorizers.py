"""Colorizers: from a picture's lightness to its a and b planes, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from models.errors import checked_widths
from models.registry import register_model

# Four convolutions of stride 2 need a multiple of 16, and the 4x4 one behind them 4 px to see.
_AUTOENCODER_SIZES = range(64, 513, 16)


@register_model(task="colorizer", heads=("relu", "sigmoid", "tanh"), image_sizes=_AUTOENCODER_SIZES)
def autoencoder(
    image_size: int, channels: Sequence[int] = (8, 16, 32, 32, 64), latent: int = 512
) -> nn.Module:
    """Build the paper's colorizer: an encoder, a narrow vector of `latent` values, a decoder.

    `channels` are the feature maps of the five encoder layers; the decoder mirrors them.
    """
    checked_widths("autoencoder", "channels", channels, count=5)
    checked_widths("autoencoder", "latent", [latent])
    *halving, deepest = channels
    side = image_size // 16 - 3
    flat = deepest * side**2

    encoder: list[nn.Module] = []
    for before, after in pairwise((1, *halving)):
        encoder += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1)]
        encoder += [nn.BatchNorm2d(after), nn.ReLU()]
    encoder += [nn.Conv2d(halving[-1], deepest, kernel_size=4), nn.BatchNorm2d(deepest), nn.ReLU()]

    bottleneck = [
        nn.Flatten(),
        nn.Linear(flat, latent),
        nn.BatchNorm1d(latent),
        nn.Linear(latent, flat),
        nn.Unflatten(1, (deepest, side, side)),
    ]

    # 64 → 32 without a stride, then 32 → 32 → 16 → 8 and the two planes, each twice as wide.
    decoder: list[nn.Module] = [nn.ConvTranspose2d(deepest, halving[-1], kernel_size=4), nn.ReLU()]
    for before, after in pairwise(reversed(halving)):
        decoder += [nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1)]
        decoder += [nn.ReLU()]
    decoder += [nn.ConvTranspose2d(halving[0], 2, kernel_size=4, stride=2, padding=1)]
    return nn.Sequential(*encoder, *bottleneck, *decoder)
