"""U-Nets: from lightness to the a and b planes with skip connections, and to their means."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import ModelError, checked_dropout, checked_widths, unknown
from models.registry import register_model

Norm = Literal["batch", "group"]
Upsampling = Literal["bilinear", "nearest", "transposed"]

# Whatever the depth, at least 2 px are left at the bottom, and no side is odd on the way there.
_SIZES = range(64, 513, 64)
_HEADS = ("relu", "sigmoid", "tanh")
_MAX_DEPTH = 5
_WIDEST = 16  # times the width: doubling further down would cost more parameters than it brings
_GROUPS = 8


class UNet(nn.Module):
    """An encoder and a decoder that work at half resolution and below.

    Its stem folds every 2x2 px of L (N, 1, H, W) into channels, which quarters the cost of all that
    follows; its two output planes are brought back to (N, 2, H, W) by bilinear interpolation. Most
    pictures are stored with half the resolution in colour anyway. L itself passes by untouched.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        norm: Norm,
        upsampling: Upsampling,
        dropout: float,
        categories: int,
    ) -> None:
        super().__init__()
        widths = [width * min(2**level, _WIDEST) for level in range(depth + 1)]
        self.stem = nn.PixelUnshuffle(2)
        self.encoder = nn.ModuleList(
            _Block(before, after, norm) for before, after in pairwise((4, *widths))
        )
        self.context = _Context(widths[-1])
        self.dropout = nn.Dropout2d(dropout)
        self.raise_ = nn.ModuleList(
            _raised(below, above, upsampling) for above, below in reversed(list(pairwise(widths)))
        )
        self.decoder = nn.ModuleList(
            _Block(2 * above, above, norm) for above in reversed(widths[:-1])
        )
        self.planes = nn.Conv2d(width, 2, kernel_size=1)
        self.categories = nn.Linear(widths[-1], categories) if categories else None

    def forward(self, L: Tensor) -> Tensor:
        return self._decoded(*self._encoded(L))

    def with_categories(self, L: Tensor) -> tuple[Tensor, Tensor]:
        """Return the planes, and (N, categories) scores of what the picture shows."""
        if self.categories is None:
            raise ModelError("this U-Net was built without `categories`")
        deepest, skipped = self._encoded(L)
        return self._decoded(deepest, skipped), self.categories(deepest.mean(dim=(2, 3)))

    def _encoded(self, L: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.stem(L * 2 - 1)
        skipped: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if level else x)
            skipped.append(x)
        return self.dropout(self.context(skipped.pop())), skipped

    def _decoded(self, x: Tensor, skipped: list[Tensor]) -> Tensor:
        for raised, block in zip(self.raise_, self.decoder, strict=True):
            x = block(torch.cat([raised(x), skipped.pop()], dim=1))
        return F.interpolate(self.planes(x), scale_factor=2, mode="bilinear", align_corners=False)


class _Block(nn.Sequential):
    """Two 3x3 convolutions, each normalized and rectified."""

    def __init__(self, before: int, after: int, norm: Norm) -> None:
        layers: list[nn.Module] = []
        for channels in (before, after):
            layers += [nn.Conv2d(channels, after, kernel_size=3, padding=1, bias=False)]
            layers += [_norm(norm, after), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class _Context(nn.Module):
    """Scale the deepest feature maps by what the whole picture shows (squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // 4)
        self.excite = nn.Linear(channels // 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3)))))
        return x * (2 * torch.sigmoid(seen))[:, :, None, None]


def _norm(norm: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(_GROUPS, channels)


def _raised(below: int, above: int, upsampling: Upsampling) -> nn.Module:
    if upsampling == "transposed":
        return nn.ConvTranspose2d(below, above, kernel_size=2, stride=2)
    # A 1x1 convolution and an interpolation commute; this order works on a quarter of the pixels.
    align = False if upsampling == "bilinear" else None
    return nn.Sequential(
        nn.Conv2d(below, above, kernel_size=1),
        nn.Upsample(scale_factor=2, mode=upsampling, align_corners=align),
    )


@register_model(
    task="regression", heads=_HEADS, image_sizes=_SIZES, trained_on="planes", name="unet_mean"
)
@register_model(task="colorizer", heads=_HEADS, image_sizes=_SIZES)
def unet(
    image_size: int,  # noqa: ARG001  (it is convolutional throughout)
    width: int = 32,
    depth: int = 3,
    norm: Norm = "batch",
    upsampling: Upsampling = "bilinear",
    dropout: float = 0.0,
    categories: int = 0,
) -> nn.Module:
    """Build a U-Net colorizer: 1.8 million parameters at the defaults.

    `width` is the number of feature maps at half resolution, a multiple of 8; each of the `depth`
    (1 to 5) halvings below it doubles them, up to sixteen times as many. `norm` is `batch` or
    `group`, `upsampling` `bilinear`, `nearest` or `transposed`; `dropout` drops whole feature maps
    at the bottom. With `categories`, it also learns to classify pictures into that many classes.
    As the regressor `unet_mean` it is trained on the planes and predicts their means.
    """
    checked_widths("unet", "width", [width])
    if width % _GROUPS:
        raise ModelError(f"the width of unet must be a multiple of {_GROUPS}, got {width}")
    if type(depth) is not int or not 1 <= depth <= _MAX_DEPTH:
        raise ModelError(f"the depth of unet must be from 1 to {_MAX_DEPTH}, got {depth!r}")
    if norm not in get_args(Norm):
        raise unknown("norm of unet", str(norm), get_args(Norm))
    if upsampling not in get_args(Upsampling):
        raise unknown("upsampling of unet", str(upsampling), get_args(Upsampling))
    checked_dropout("unet", dropout)
    if type(categories) is not int or categories < 0:
        raise ModelError(f"the categories of unet must be 0 (none) or more, got {categories!r}")
    return UNet(width, depth, norm, upsampling, dropout, categories)
