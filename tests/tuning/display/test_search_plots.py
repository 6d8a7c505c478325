"""Pictures of a search: drawn of whatever it has found, even of nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tuning.display.plots import (
    PlottedParameter,
    PlottedTrial,
    search_curves,
    search_history,
    search_importances,
    search_parallel,
    search_pareto,
    search_slices,
)
from tuning.display.plots._trials import scale_of

PARAMETERS = [
    PlottedParameter("model", ("autoencoder", "unet")),
    PlottedParameter("lr", low=1e-4, high=1e-2, log=True),
    PlottedParameter("warmup", low=0.0, high=0.3),
    PlottedParameter("fixed", low=2, high=2),
    PlottedParameter("model_kwargs.channels", ([8, 16], [16, 32])),
]


def draw_all(folder: Path, trials: list[PlottedTrial], metric: str, maximize: bool) -> list[Path]:
    judged = (metric, maximize)
    paths = [
        folder / f"{name}.png" for name in ("history", "curves", "slices", "parallel", "pareto")
    ]
    search_history("history", trials, *judged, paths[0])
    search_curves("curves", trials, *judged, paths[1], rungs=(2, 6))
    search_slices("slices", trials, PARAMETERS, *judged, paths[2])
    search_parallel("parallel", trials, PARAMETERS, *judged, paths[3])
    search_pareto("pareto", trials, [judged, ("parameters", False)], {0}, paths[4])
    return paths


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def trial(number: int, value: float, outcome: str = "finished", **more: Any) -> PlottedTrial:
    params = {"model": "unet", "lr": 1e-3, "fixed": 2, "model_kwargs.channels": [16, 32]}
    curve = {1: value - 1, 2: value} if math.isfinite(value) else {}
    return PlottedTrial(number, outcome, value, params, curve, (1e6 + number,), **more)


@pytest.mark.parametrize(
    "trials",
    [
        [],
        [trial(0, math.nan, "failed")],
        [trial(0, 30.0)],
        [trial(0, 30.0), trial(1, 30.0, "pruned"), trial(2, 30.0, "known")],
        [trial(0, 30.0), trial(1, 5.0, "stopped"), trial(2, math.nan, "diverged")],
    ],
    ids=["none", "all failed", "one", "all equal", "far apart"],
)
def test_every_picture_is_drawn_of_whatever_there_is(
    trials: list[PlottedTrial], tmp_path: Path
) -> None:
    for path in draw_all(tmp_path, trials, "val_psnr", True):
        assert pixels(path).min() < 200, path.name


# One path serves all examples, each of which replaces the pictures.
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(
        st.one_of(st.floats(1e-9, 1e3), st.just(math.nan), st.just(0.0)), min_size=1, max_size=6
    ),
    metric=st.sampled_from([("val_mse", False), ("val_psnr", True), ("train_seconds", False)]),
)
def test_no_value_stops_a_report(
    values: list[float], metric: tuple[str, bool], tmp_path: Path
) -> None:
    draw_all(tmp_path, [trial(index, value) for index, value in enumerate(values)], *metric)


def test_the_best_is_orange_and_what_was_cut_is_crossed(tmp_path: Path) -> None:
    trials = [trial(0, 30.0), trial(1, 33.0), trial(2, 31.0, "pruned")]
    search_history("h", trials, "val_psnr", True, tmp_path / "h.png")
    search_history("h", trials[:1], "val_psnr", True, tmp_path / "one.png")
    orange = np.abs(pixels(tmp_path / "h.png") - [0xE8, 0x84, 0x2C]).sum(axis=2) < 30
    assert orange.sum() > 100
    # Higher on the picture is better: the line of the best so far climbs.
    rows, columns = np.nonzero(orange[60:])
    assert rows[columns > columns.max() - 5].mean() < rows[columns < np.median(columns)].max()


def test_an_axis_is_not_flattened_by_one_hopeless_trial() -> None:
    psnr = scale_of("val_psnr", True, [35.0, 34.0, 12.0])
    assert (psnr.low, psnr.high) == (29.0, 35.0)
    assert psnr.is_beyond(12.0)
    assert psnr.clipped(12.0) == 29.0
    assert psnr.share(35.0) == 1.0
    assert psnr.share(12.0) == 0.0
    mse = scale_of("val_mse", False, [1e-4, 2e-4, 1e-1])
    assert (mse.low, mse.high) == (1e-4, 4e-4)
    assert mse.share(1e-4) == 1.0
    assert mse.share(2e-4) == pytest.approx(0.5)


def test_a_pareto_set_is_shown_where_it_is() -> None:
    wide = scale_of("val_mse", False, [1e-4, 2e-4, 1e-2, 1.0], always=[1e-2, math.inf])
    assert (wide.low, wide.high) == (1e-4, 1e-2)
    assert [value for value in (1e-4, 1e-2, 1.0) if wide.is_beyond(value)] == [1.0]
    assert scale_of("val_psnr", True, [10.0, 20.0, 38.0], always=[20.0]).low == 20.0
    assert scale_of("val_psnr", True, [10.0, 37.0, 38.0], always=[37.0]).low == 32.0


def test_importances_are_drawn_largest_on_top(tmp_path: Path) -> None:
    search_importances("i", {"lr": 0.7, "head": 0.3}, tmp_path / "i.png")
    bars = np.abs(pixels(tmp_path / "i.png") - [0x16, 0x52, 0x8E]).sum(axis=2) < 10
    lengths = bars.sum(axis=1)
    drawn = lengths[lengths > 50]
    assert drawn[0] == pytest.approx(drawn[-1] * 7 / 3, rel=0.05)
    search_importances("i", {}, tmp_path / "none.png")
