"""The batches of an epoch: which pictures, in which order, cut how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models import model_info
from tuning.training.config import FitConfig
from tuning.training.data import DeviceSplit, Split
from tuning.training.random_crops import random_crops


@dataclass(frozen=True)
class Batch:
    """Some pictures: L and `target` in [0, 1], and the number of each one's category."""

    L: Tensor
    target: Tensor
    category: Tensor


class Batches:
    """The training set in batches on a device.

    As in the original paper, it is shuffled once by the seed, and every epoch has this order;
    with `shuffle`, and where pictures are cut anew, every epoch has an order of its own, drawn from
    torch's global generator. A last batch that is not full is left out, unless it is the only one.
    """

    def __init__(self, config: FitConfig, split: Split, device: torch.device) -> None:
        self._config = config
        self._copies = split.copies
        self._trained_on = model_info(config.model).trained_on
        self._held = "planes" if config.needs_planes else "means"
        self._pictures = DeviceSplit(split, self._held, device)
        order = torch.randperm(
            len(self._pictures), generator=torch.Generator().manual_seed(config.seed)
        )
        self._fixed = self._cut_into_batches(order)

    def __len__(self) -> int:
        return len(self._fixed)

    def epoch(self) -> Iterator[Batch]:
        """Yield every batch of one epoch."""
        batches = self._fixed
        if self._config.shuffle or self._config.augments:
            batches = self._cut_into_batches(torch.randperm(len(self._pictures)))
        for rows in batches:
            if self._config.augments:
                # Of the originals: a prepared copy is a cut already, and another would blur it.
                L, target = self._augmented(rows // self._copies * self._copies)
            else:
                L, target = self._pictures.pictures(rows), self._pictures.targets(rows)
            yield Batch(L, target, self._pictures.categories(rows))

    def _cut_into_batches(self, order: Tensor) -> list[Tensor]:
        size = self._config.batch_size
        batches = list(torch.split(order.to(self._pictures.home), size))
        return batches[:-1] if len(batches) > 1 and len(batches[-1]) < size else batches

    def _augmented(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        L, targets = self._pictures.pictures(rows), self._pictures.targets(rows)
        if self._held == "means":
            return self._cut(L), targets  # only flipped, which leaves a mean as it is
        cut = self._cut(torch.cat([L, targets], dim=1))
        L, planes = cut[:, :1], cut[:, 1:]
        return L, planes if self._trained_on == "planes" else planes.mean(dim=(2, 3))

    def _cut(self, planes: Tensor) -> Tensor:
        config = self._config
        return random_crops(
            planes, flip=config.flip, zoom=config.zoom, shift=config.shift, rotate=config.rotate
        )
