"""A residual regressor: from a picture's lightness to its mean a and mean b."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import MOST_LAYERS, ModelError, checked_dropout, checked_widths
from models.registry import register_model

_SIZES = range(32, 513, 2)


@register_model(task="regression", heads=("relu", "sigmoid", "tanh"), image_sizes=_SIZES)
def resnet(
    image_size: int,  # noqa: ARG001  (it pools over whatever is left)
    width: int = 32,
    blocks: int = 2,
    dropout: float = 0.0,
) -> nn.Module:
    """Build a residual network with global average pooling: 2.8 million parameters at 32 x 2.

    Its stem folds every 2x2 px into channels; four stages of `blocks` residual blocks follow, each
    stage at half the resolution of the last with twice the feature maps, from `width` on; then the
    mean over the picture, `dropout`, and one linear layer.
    """
    checked_widths("resnet", "width", [width])
    checked_widths("resnet", "blocks", [blocks])
    if blocks > MOST_LAYERS:
        raise ModelError(f"blocks of resnet are at most {MOST_LAYERS}, but got {blocks}")
    checked_dropout("resnet", dropout)
    widths = [width, 2 * width, 4 * width, 8 * width]
    layers: list[nn.Module] = [
        nn.PixelUnshuffle(2),
        nn.Conv2d(4, width, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    for before, after in pairwise((width, *widths)):
        layers += [_Residual(before, after, stride=2)]
        layers += [_Residual(after, after, stride=1) for _ in range(blocks - 1)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 2))


class _Residual(nn.Module):
    """Two normalized 3x3 convolutions, added to what came in."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.past: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.past = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        kept = self.past(x)
        x = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(x)) + kept)
