"""What a training minimizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models import ChromaModel
from tuning.errors import ChromatuneError
from tuning.training.batches import Batch
from tuning.training.config import FitConfig

# In the head's range. Chrominance of faces varies by about 0.04 in [0, 1].
_HUBER_DELTA = 0.1

# What users have registered, each computed by `function(output, target, L)`.
LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Any]] = {}


def training_loss(config: FitConfig, model: ChromaModel, batch: Batch) -> Tensor:
    """Return the loss of a batch, a scalar in the head's range."""
    L = batch.L
    scores = None
    with torch.autocast(L.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        if config.category_weight:
            output, scores = model.raw_with_categories(L)
        else:
            output = model.raw(L)
    # Squares of small differences would lose what little bfloat16 has.
    output, target = output.float(), model.encode(batch.target)
    loss = _distance(config, output, target, L)
    if config.mean_weight:
        means = F.mse_loss(output.mean(dim=(2, 3)), target.mean(dim=(2, 3)))
        loss = loss + config.mean_weight * means
    if scores is not None:
        loss = loss + config.category_weight * F.cross_entropy(scores.float(), batch.category)
    return loss


def _distance(config: FitConfig, output: Tensor, target: Tensor, L: Tensor) -> Tensor:
    if config.loss in LOSSES:
        loss = LOSSES[config.loss](output, target, L)
        if not isinstance(loss, Tensor) or loss.ndim:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
            raise ChromatuneError(f"the loss '{config.loss}' must return a scalar, but got {got}")
        return loss
    if config.loss == "l1":
        return F.l1_loss(output, target)
    if config.loss == "huber":
        return F.huber_loss(output, target, delta=_HUBER_DELTA)
    return F.mse_loss(output, target)
