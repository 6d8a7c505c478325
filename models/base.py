"""What every network of the registry is: a body that ends in a head."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from models.heads import Head


class ChromaModel(nn.Module):
    """A network from lightness to chrominance, all of it in [0, 1] for whoever calls it.

    It takes L as float32 (N, 1, H, W) in [0, 1], which is the uint8 plane divided by 255. It
    predicts (N, 2), the mean a and b of each picture, if its task is `regression`; (N, 2, H, W),
    the a and b planes, if it is `colorizer`. `spec` is JSON-able and rebuilds the model:
    `name`, `head`, `image_size`, `kwargs`.
    """

    def __init__(self, body: nn.Module, head: Head, task: str, spec: dict[str, Any]) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.task = task
        self.spec = spec

    def forward(self, L: Tensor) -> Tensor:
        """Predict chrominance in [0, 1]."""
        return self.head.decode(self.raw(L))

    def raw(self, L: Tensor) -> Tensor:
        """Predict in the range of the head, where the loss is taken."""
        output: Tensor = self.head(self.body(L))
        return output

    def encode(self, target: Tensor) -> Tensor:
        """Map a target in [0, 1] to the range of the head."""
        return self.head.encode(target)

    def loss(self, L: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error against `target` in [0, 1], in the range of the head."""
        return F.mse_loss(self.raw(L), self.encode(target))
