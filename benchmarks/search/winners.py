"""Whether the winner of a search is right, by one seed or `--confirm`; what known results save."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.curves import EPOCHS, Curves, points
from benchmarks.search.methods import Ours, stopping_asha
from benchmarks.search.simulator import Method

_CONFIRMED = 3
_WITHIN_DB = 0.25
_KNOWN = 7
_KNOWN_RANK = 3


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
    curves = Curves.whole(dataset, space)
    means: NDArray[np.float32] = curves.psnr.max(axis=2).mean(axis=1)
    best = _ranked(curves, space, seed, most_epochs)[0]
    left = most_epochs - _CONFIRMED * (curves.psnr.shape[1] - 1) * EPOCHS
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


def epochs_with_known(dataset: str, space: str, seed: int, most_epochs: int) -> tuple[float, float]:
    """Epochs until a search passes the third best of the points that it does not know.

    It knows the trainings of seven random points. Of TPE with stopping ASHA, whose rungs do not
    know them, and of ours; inf if it is not reached.
    """
    logging.disable(logging.CRITICAL)
    curves = Curves.whole(dataset, space)
    recorded = curves.psnr[:, seed % curves.psnr.shape[1]]
    known = np.random.default_rng(seed).choice(len(recorded), _KNOWN, replace=False)
    target = np.sort(np.delete(recorded.max(axis=1), known))[-_KNOWN_RANK]
    found = []
    for method in (stopping_asha(space, seed), Ours(space, seed)):
        for point in known:
            method.know(points(space)[point], recorded[point].tolist())
        reached = (
            epochs
            for epochs, point, score in _trained(method, recorded, most_epochs)
            if score >= target and point not in known
        )
        found.append(float(next(reached, math.inf)))
    return found[0], found[1]


def _ranked(curves: Curves, space: str, seed: int, most_epochs: int) -> list[int]:
    """The points of a search on one worker by their best scores, the best first."""
    best: dict[int, float] = {}
    recorded = curves.psnr[:, seed % curves.psnr.shape[1]]
    for _, point, score in _trained(Ours(space, seed), recorded, most_epochs):
        best[point] = max(best.get(point, -math.inf), score)
    return sorted(best, key=lambda point: -best[point])


def _trained(
    method: Method, recorded: NDArray[np.float32], most_epochs: int
) -> Iterator[tuple[int, int, float]]:
    """Run a search on one worker: epochs so far, point and score after each step."""
    reached: dict[int, int] = {}
    epochs = 0
    while epochs < most_epochs and (step := method.ask()) is not None:
        begin = reached.get(step.trial, 0)
        reached[step.trial] = step.epoch
        scores = recorded[step.point, begin : step.epoch]
        method.tell(step, dict(enumerate(scores.tolist(), begin + 1)), 0.0)
        epochs += step.epoch - begin
        yield epochs, step.point, float(scores.max())
