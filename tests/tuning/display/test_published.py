from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tuning.display.published import (
    EPOCHS,
    GRIDS,
    LRS,
    RESULTS,
    published_cell,
    published_result,
    published_results,
)
from tuning.training.tasks import TASKS


@pytest.mark.parametrize(
    ("task", "pick", "best"),
    [
        ("regression", min, ("cnn2", "relu", 1e-5, 500)),
        ("colorizer", max, ("autoencoder", "tanh", 1e-3, 500)),
    ],
)
def test_the_best_cell_is_the_one_the_paper_names(
    task: str, pick: Callable[..., Any], best: tuple[str, str, float, int]
) -> None:
    places = [(*key, lr, epochs) for key in GRIDS[task] for lr in LRS for epochs in EPOCHS]
    assert len(places) == 27
    assert pick(places, key=lambda place: published_cell(task, *place)) == best


def test_sums_are_those_of_the_printed_tables() -> None:
    # Added up from the paper's text, table by table: a digit mistyped here would show.
    printed = {
        ("cnn1", "relu"): 0.494145,
        ("cnn2", "relu"): 0.0011775,
        ("cnn3", "relu"): 0.0011228,
        ("autoencoder", "relu"): 310.0634,
        ("autoencoder", "sigmoid"): 310.10479,
        ("autoencoder", "tanh"): 314.77058,
    }
    for table in GRIDS.values():
        for key, rows in table.items():
            assert math.isclose(sum(map(sum, rows)), printed.pop(key), rel_tol=1e-9), key
    assert not printed


@pytest.mark.parametrize("row", [r for r in RESULTS if "test_psnr_a" in r.metrics])
@pytest.mark.parametrize("channel", ["a", "b"])
def test_psnr_agrees_with_mse(row, channel) -> None:  # type: ignore[no-untyped-def]
    # Printed errors have their last digits cut off: the exact one is up to one step larger.
    mse, psnr = row.metrics[f"test_mse_{channel}"], row.metrics[f"test_psnr_{channel}"]
    step = 1e-5 if (row.table, row.head) == ("VI", "tanh") else 1e-6
    assert -10 * math.log10(mse + step) <= psnr <= -10 * math.log10(mse)


def test_final_rows_are_found_with_their_settings() -> None:
    row = published_result("ncd", "colorizer", "autoencoder", "tanh")
    assert row is not None
    assert (row.table, row.lr, row.epochs) == ("VI", 1e-3, 1000)
    assert row.metrics["test_ssim_b_as_reported"] == 0.83706
    assert "test_ssim_b" not in row.metrics  # not the usual SSIM: never to be compared with it
    fc = published_result("faces", "regression", "fc", "relu")
    assert fc is not None
    assert fc.metrics == {"test_mse_a": 0.000468, "test_mse_b": 0.000459}
    counts = [len(published_results(d, t)) for d in ("faces", "ncd") for t in TASKS]
    assert counts == [3, 2, 2, 2]
    assert published_result("faces", "colorizer", "autoencoder", "relu") is None


def test_a_cell_is_found_however_its_learning_rate_was_computed_and_no_other_is() -> None:
    assert published_cell("regression", "cnn2", "relu", 0.1 * 0.1 * 0.1, 300) == 0.000135
    for task, model, head, lr, epochs in (
        ("regression", "cnn2", "relu", 1e-5, 50),
        ("regression", "cnn2", "relu", 2e-5, 500),
        ("regression", "cnn2", "tanh", 1e-5, 500),
        ("colorizer", "cnn2", "relu", 1e-5, 500),
    ):
        assert published_cell(task, model, head, lr, epochs) is None
