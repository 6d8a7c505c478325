"""The simulator of searches on recorded curves, against figures counted by hand."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
import logging
import math
from collections.abc import Callable, Mapping
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from benchmarks import harness
from benchmarks.search import __main__ as comparison
from benchmarks.search import report, winners
from benchmarks.search.curves import EPOCHS, SEEDS, SPACES, Curves, points
from benchmarks.search.methods import METHODS
from benchmarks.search.peers import PEERS
from benchmarks.search.simulator import Method, Step, simulate


@pytest.fixture(scope="module")
def curves() -> Curves:
    """Point n has n dB after every epoch, one more after the last, and takes n + 1 s an epoch."""
    shape = (len(points("recipe")), SEEDS, EPOCHS)
    psnr = np.broadcast_to(np.arange(shape[0])[:, None, None], shape).astype(np.float32)
    seconds = psnr + 1
    psnr[:, :, -1] += 1
    return Curves(Path("none.npz"), psnr, seconds, {"space": SPACES["recipe"]})


class Scripted:
    """Takes given steps, whatever the scores."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.told: list[tuple[int, Mapping[int, float], float]] = []

    def ask(self) -> Step | None:
        return self.steps.pop(0) if self.steps else None

    def tell(self, step: Step, scores: Mapping[int, float], seconds: float) -> None:
        self.told.append((step.trial, scores, seconds))


class Asked:
    """Keeps the steps that another method asks for."""

    def __init__(self, method: Method) -> None:
        self.method, self.tell = method, method.tell
        self.steps: list[Step] = []

    def ask(self) -> Step | None:
        step = self.method.ask()
        self.steps += [] if step is None else [step]
        return step


def test_an_epoch_is_trained_once_in_its_recorded_seconds(curves: Curves) -> None:
    method = Scripted(Step(0, 1, 2), Step(1, 3, 1), Step(0, 1, 3))
    trace = simulate(method, curves, seed=0, workers=1, most_epochs=9)
    assert method.told == [(0, {1: 1, 2: 1}, 4), (1, {1: 3}, 4), (0, {3: 1}, 2)]
    assert trace.seconds.tolist() == [2, 4, 8, 10]
    best = len(points("recipe"))  # the last point's score after its last epoch
    assert trace.regret.tolist() == [best - 1, best - 1, best - 3, best - 3]
    assert (trace.epochs_to(best - 3), trace.seconds_to(best - 3)) == (3, 8)
    assert math.isinf(trace.epochs_to(0))


def test_workers_train_at_the_same_time(curves: Curves) -> None:
    method = Scripted(Step(0, 1, 2), Step(1, 3, 1), Step(2, 0, 1))
    trace = simulate(method, curves, seed=0, workers=2, most_epochs=9)
    assert trace.seconds.tolist() == [2, 4, 4, 5]
    assert [trial for trial, _, _ in method.told] == [0, 1, 2]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_searches_as_long_as_asked(name: str, curves: Curves) -> None:
    trace = simulate(METHODS[name]("recipe", 0), curves, seed=0, workers=2, most_epochs=100)
    assert len(trace.seconds) == 100
    assert trace.regret[-1] < trace.regret[0] or trace.regret[0] == 0


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("workers", [1, 16])
@pytest.mark.parametrize("name", PEERS)
def test_every_installed_peer_asks_for_valid_steps(name: str, workers: int, curves: Curves) -> None:
    """Their libraries are in environments of their own: benchmarks/search/peers.txt."""
    library, make = PEERS[name]
    try:
        importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{library} is not installed")
    runs: list[list[Step]] = []
    for _ in range(2):
        asked = Asked(make("recipe", 1))
        trace = simulate(asked, curves, seed=0, workers=workers, most_epochs=100)
        assert len(trace.seconds) == 100
        assert trace.regret[-1] < trace.regret[0]
        runs.append(asked.steps)
    steps = runs[0]
    assert runs[1] == steps, "the same seed asked for other steps"
    assert {type(number) for step in steps for number in step} == {int}
    assert all(0 <= step.point < len(curves.psnr) for step in steps)
    assert len({(step.trial, step.point) for step in steps}) == len({step.trial for step in steps})
    assert {3, 9} <= {step.epoch for step in steps}


class Serially:
    """A pool of no processes."""

    @staticmethod
    def map(function: Callable[[int], Any], values: range, chunksize: int) -> list[Any]:
        assert chunksize == 1
        return [function(value) for value in values]


def test_a_method_that_fails_loses_nothing(
    curves: Curves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(space: str, seed: int) -> Method:
        raise ValueError(f"{space} {seed}")

    methods = {"random search": METHODS["random search"], "fails": fails}
    monkeypatch.setattr(comparison, "METHODS", methods)
    monkeypatch.setattr(comparison, "RESULTS", tmp_path)
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    found = dataclasses.replace(curves, psnr=curves.psnr.copy(), about={"hardware": {}})
    monkeypatch.setattr(Curves, "open", lambda *_: found)
    monkeypatch.setattr(logging, "disable", lambda _: None)
    pool = cast("Pool", Serially())
    compare = functools.partial(comparison.compare, pool, "faces", "recipe")
    assert compare(["random search"], 2) == []
    assert compare(["fails"], 2) == ["fails on faces"]
    [row] = json.loads((tmp_path / "search-faces-recipe.json").read_text())["methods"]
    assert (row["method"], row["searches"]) == ("random search", 2)
    monkeypatch.setitem(methods, "another", METHODS["random search"])
    results = tmp_path / "search-faces-recipe.json"
    results.write_text(json.dumps(json.loads(results.read_text()) | {"winners": "of other curves"}))
    found.psnr[0, 0, 0] += 1
    assert compare(["another"], 1) == []
    [row] = json.loads((tmp_path / "search-faces-recipe.json").read_text())["methods"]
    assert row["method"] == "another", "figures of other curves were kept"
    assert json.loads(results.read_text())["winners"] is None


@pytest.mark.parametrize(
    ("ours", "ratio"), [(40.0, "1.50 (60 of B / 40)"), (None, "0 (60 of B / ∞)")]
)
def test_the_best_other_method_is_compared_with_the_default(ours: float | None, ratio: str) -> None:
    rows = [
        _row("Chromatune, x (default)", ours),
        _row("Chromatune, y", 1.0),
        _row("A", None),
        _row("B", 60.0),
    ]
    rows += [
        _row("Chromatune, prior: best of the other dataset", 20.0),
        _row("Chromatune, prior: worst point", 80.0),
    ]
    document = {"dataset": "faces", "methods": rows, "winners": {"right": [0.5, 0.75]}}
    document["epochs_with_known"] = [90.0, 30.0]
    table = report.bars([document]).splitlines()
    assert table[0] == "|  | bar | faces |"
    assert table[2] == f"| epochs to 0.25 dB, median, best other / ours | ≥ 1.5 | {ratio} |"
    assert table[5].endswith("| 100 % | 98 % |")
    if ours is not None:
        assert table[6].endswith("| ≥ 1.3 | 2.00 (40 / 20) |")
        assert table[7].endswith("| ≥ 0.91 | 0.50 (40 / 80) |")
    assert table[8].endswith("| ≥ 2.5 | 3.00 (90 / 30) |")
    assert table[9].endswith("| higher | 50 % / 75 % |")


def test_confirmation_corrects_a_winner_of_one_seed(
    curves: Curves, monkeypatch: pytest.MonkeyPatch
) -> None:
    psnr = curves.psnr.copy()
    psnr[8] = np.array([500.0, 200.0, 200.0])[:, None]  # mean 300 dB
    psnr[9] = np.array([400.0, 400.0, 400.0])[:, None]  # the best mean
    found = dataclasses.replace(curves, psnr=psnr)
    monkeypatch.setattr(Curves, "open", lambda *_: found)
    monkeypatch.setattr(logging, "disable", lambda _: None)
    steps = [Step(trial, point, EPOCHS) for trial, point in enumerate((3, 8, 9, 4))]
    monkeypatch.setattr(winners, "Ours", lambda *_: Scripted(*steps))
    one_seed, confirmed = winners.find_winners("faces", "recipe", 0, 12 * EPOCHS)
    assert one_seed == pytest.approx(100.0)
    assert confirmed == pytest.approx(0.0)


def _row(method: str, median: float | None) -> Mapping[str, Any]:
    quartiles = [1.0, median, None]
    keys = ("epochs_to_0.5", "epochs_to_0.25", "seconds_to_0.25_16")
    return {"method": method, "reached_0.5": 0.98, **dict.fromkeys(keys, quartiles)}
