"""What every network of the registry is: a body that ends in a head."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from models.heads import Head
from models.user_code import UserCode


class ChromaModel(nn.Module):
    """A network from lightness to chrominance, with inputs and outputs in [0, 1].

    It takes L as float32 (N, 1, H, W) in [0, 1], which is the uint8 plane divided by 255. It
    predicts (N, 2), the mean a and b of each picture, if its task is `regression`; (N, 2, H, W),
    the a and b planes, if it is `colorizer`. `trained_on` says what it is trained against:
    `means` or `planes`, which a regressor may use too. With `flip_average`, in evaluation mode, it
    predicts the average of a picture and its mirror image. `spec` is JSON-able and rebuilds the
    model: `name`, `head`, `image_size`, `kwargs`, and `flip_average` where it is on. `code` is the
    user's file that the network is from, if any.
    """

    def __init__(
        self,
        body: nn.Module,
        head: Head,
        task: str,
        trained_on: str,
        spec: dict[str, Any],
        code: UserCode | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.task = task
        self.trained_on = trained_on
        self.spec = spec
        self.code = code

    @property
    def flip_average(self) -> bool:
        """Whether it predicts, in evaluation mode, the average of a picture and its mirror."""
        return bool(self.spec.get("flip_average"))

    def forward(self, L: Tensor) -> Tensor:
        """Predict chrominance in [0, 1]."""
        predicted = self._decoded(L)
        if self.flip_average and not self.training:
            mirrored = self._decoded(L.flip(-1))
            predicted = (predicted + (mirrored.flip(-1) if mirrored.ndim == 4 else mirrored)) / 2
        return predicted

    def _decoded(self, L: Tensor) -> Tensor:
        predicted = self.head.decode(self.raw(L))
        if self.task == "regression" and self.trained_on == "planes":
            return predicted.mean(dim=(2, 3))
        return predicted

    def raw(self, L: Tensor) -> Tensor:
        """Predict what the network is trained on, in the range of the head."""
        output: Tensor = self.head(self.body(L))
        return output

    def raw_with_categories(self, L: Tensor) -> tuple[Tensor, Tensor]:
        """Predict as `raw` does, and (N, categories) scores, if the network has them."""
        planes, scores = self.body.with_categories(L)  # type: ignore[operator]
        return self.head(planes), scores

    def encode(self, target: Tensor) -> Tensor:
        """Map a target in [0, 1] to the range of the head."""
        return self.head.encode(target)

    def loss(self, L: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error against `target` in [0, 1], in the range of the head."""
        return F.mse_loss(self.raw(L), self.encode(target))
