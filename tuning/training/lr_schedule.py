"""Learning rates over a training."""

from __future__ import annotations

import math

from tuning.training.config import FitConfig

# As torch's OneCycleLR starts and ends by default.
_START, _END = 1 / 25, 1 / 10_000


def learning_rate(config: FitConfig, progress: float) -> float:
    """Return the learning rate at `progress`, the share of the training's steps behind, in [0, 1).

    `constant` and `cosine` rise linearly from 0 over `warmup`, `onecycle` in half a cosine from a
    25th; `cosine` then falls in half a cosine to 0, `onecycle` to a 10 000th.
    """
    peak = config.lr
    if progress < config.warmup:
        risen = progress / config.warmup
        if config.schedule == "onecycle":
            return peak * (_START + (1 - _START) * _half_cosine(risen))
        return peak * risen
    if config.schedule == "constant":
        return peak
    fallen = _half_cosine((progress - config.warmup) / (1 - config.warmup))
    end = _END if config.schedule == "onecycle" else 0.0
    return peak * (1 - (1 - end) * fallen)


def _half_cosine(share: float) -> float:
    """Go from 0 to 1 as `share` does, slowly at both ends."""
    return (1 - math.cos(math.pi * share)) / 2
