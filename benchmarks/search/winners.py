"""Whether the winner of a search is right: chosen by one seed, or by `--confirm`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.curves import EPOCHS, SEEDS, Curves
from benchmarks.search.methods import Ours

_CONFIRMED = 3
_WITHIN_DB = 0.25


class Winners(NamedTuple):
    """Regret in dB of the winners of two searches that train for as many epochs.

    It is the best mean over the recorded seeds of any point, less that of the winner.
    """

    one_seed: float
    confirmed: float


def find_winners(dataset: str, space: str, seed: int, most_epochs: int) -> Winners:
    """Search until the best score wins, or until the epochs left confirm the three best points.

    Confirmation uses all recorded seeds of a point, by which the regret is measured too.
    """
    logging.disable(logging.CRITICAL)  # Optuna's
    curves = Curves.open(dataset, space)
    means: NDArray[np.float32] = curves.psnr.max(axis=2).mean(axis=1)
    best = _ranked(curves, space, seed, most_epochs)[0]
    left = most_epochs - _CONFIRMED * (SEEDS - 1) * EPOCHS
    confirmed = max(_ranked(curves, space, seed, left)[:_CONFIRMED], key=lambda p: means[p])
    return Winners(float(means.max() - means[best]), float(means.max() - means[confirmed]))


def compared_winners(found: Sequence[Winners]) -> Mapping[str, object]:
    """Of how many searches the winner is within 0.25 dB, and the mean regrets."""
    regrets = np.array(found)
    return {
        "searches": len(found),
        "within_db": _WITHIN_DB,
        "right": np.mean(regrets <= _WITHIN_DB, axis=0).round(3).tolist(),
        "mean_regret": np.mean(regrets, axis=0).round(3).tolist(),
    }


def _ranked(curves: Curves, space: str, seed: int, most_epochs: int) -> list[int]:
    """The points of a search on one worker by their best scores, the best first."""
    method = Ours(space, seed)
    recorded = curves.psnr[:, seed % SEEDS]
    reached: dict[int, int] = {}
    best: dict[int, float] = {}
    epochs = 0
    while epochs < most_epochs and (step := method.ask()) is not None:
        begin = reached.get(step.trial, 0)
        reached[step.trial] = step.epoch
        scores = recorded[step.point, begin : step.epoch]
        best[step.point] = max(best.get(step.point, -np.inf), float(scores.max()))
        method.tell(step, dict(enumerate(scores.tolist(), begin + 1)), 0.0)
        epochs += step.epoch - begin
    return sorted(best, key=lambda point: -best[point])
