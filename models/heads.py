"""Output heads: a network's last activation together with the target range it is trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.errors import unknown


class Head(nn.Module):
    """Activation of the output layer, and the map between chrominance in [0, 1] and its own range.

    A head that lives in [0, 1] already needs neither `encode` nor `decode`.
    """

    def encode(self, target: Tensor) -> Tensor:
        """Map chrominance in [0, 1] to the range this head is trained on; any shape."""
        return target

    def decode(self, output: Tensor) -> Tensor:
        """Map the head's output back to chrominance in [0, 1]; any shape."""
        return output


class ReluHead(Head):
    """ReLU, trained on [0, 1]. What it predicts above 1 counts as 1, which no colour exceeds.

    An output that is negative for every picture has no gradient, and many initial weights make it
    so (the last bias is random, and what is added to it small). It can come back, presumably as
    Adam turns weight decay into steps of the learning rate: on the faces with seed 0, CNN1 took 8
    epochs at 1e-3 and was still dead after 25 at 1e-5. Until then the channel's MSE is its squared
    mean, 0.3 for a, and both together have 0.15, about what the paper gives for CNN1 at 1e-5.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x)

    def decode(self, output: Tensor) -> Tensor:
        return output.clamp(max=1.0)


class SigmoidHead(Head):
    """Sigmoid, trained on [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


class TanhHead(Head):
    """Tanh, trained on [-1, 1]: its loss is four times the squared error in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def encode(self, target: Tensor) -> Tensor:
        return target * 2 - 1

    def decode(self, output: Tensor) -> Tensor:
        return (output + 1) / 2


HEADS: dict[str, type[Head]] = {"relu": ReluHead, "sigmoid": SigmoidHead, "tanh": TanhHead}


def create_head(name: str) -> Head:
    """Make the head called `name`; ModelError naming the nearest one if there is none."""
    if name not in HEADS:
        raise unknown("head", name, HEADS)
    return HEADS[name]()
