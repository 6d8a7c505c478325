"""Results beside what was published and the constant predictor: for people and as JSON."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
from collections.abc import Mapping, Sequence

import pytest
from rich.console import Console

from tuning.display.comparison_table import ResultRow, ResultTable, TestTable
from tuning.display.grid_table import CellRow, GridTable


def cell(
    value: float,
    *,
    model: str = "cnn2",
    head: str = "relu",
    lr: float = 1e-5,
    epochs: int = 500,
    metric: str = "val_mse",
    outcome: str = "finished",
    published_epochs: int | None = None,
) -> CellRow:
    name = f"{model}-{head}-{lr:g}-{epochs}"
    metrics: Mapping[str, float] = {metric: value}
    return CellRow(
        name, model, head, lr, epochs, metrics, outcome, "run", "launch", published_epochs
    )


def grid() -> list[CellRow]:
    """27 cells, from 1.01e-4 (cnn1, 1e-3, 100) up to 1.27e-4."""
    places = itertools.product(("cnn1", "cnn2", "cnn3"), (1e-3, 1e-4, 1e-5), (100, 300, 500))
    return [
        cell((1 + number / 100) * 1e-4, model=model, lr=lr, epochs=epochs)
        for number, (model, lr, epochs) in enumerate(places, start=1)
    ]


def printed(table: ResultTable) -> list[str]:
    console = Console(width=80, record=True, color_system=None, file=io.StringIO())
    console.print(table.rich())
    return [line.rstrip() for line in console.export_text().splitlines()]


def regression(cells: Sequence[CellRow], constant: float | None = None) -> str:
    baseline = {} if constant is None else {"val_mse": constant}
    return "\n".join(printed(GridTable("regression", cells, baseline)))


def test_a_grid_reads_as_the_original_paper_in_80_columns() -> None:
    lines = regression(grid(), 1.1e-4).splitlines()
    assert max(map(len, lines)) <= 80
    titles = [line for line in lines if line.endswith("validation MSE")]
    assert titles == [f"{name}, ReLU: validation MSE" for name in ("cnn1", "cnn2", "cnn3")]
    heading = next(line for line in lines if "epochs" in line)
    assert heading.split() == ["epochs", "lr", "1e-3", "lr", "1e-4", "lr", "1e-5"]
    first = next(line for line in lines if line.split()[:1] == ["100"])
    expected = "100 ★1.01e-4 ▲ / 1.96e-4 1.04e-4 ▲ / 1.95e-4 1.07e-4 ▲ / 1.88e-1"
    assert " ".join(first.split()) == expected
    assert sum(line.count("★") for line in lines if "/ 1." in line) == 1
    assert sum(line.count("☆") for line in lines if "/ 1." in line) == 2  # cnn2's and cnn3's best
    # 1.10e-4 itself is no better than the constant: only the first nine cells beat it.
    assert lines[-1] == "constant predictor: 1.10e-4; 9 of 27 finished cells beat it"


@pytest.mark.parametrize(
    ("value", "mark"), [(1.07e-4, "▲"), (1.09e-4, "▼"), (1.0804e-4, "="), (1.0796e-4, "=")]
)
def test_marks_of_an_error_follow_what_is_printed(value: float, mark: str) -> None:
    assert f" {mark} / 1.08e-4" in regression([cell(value)])


def test_a_higher_psnr_is_better() -> None:
    best = cell(35.9, model="autoencoder", head="tanh", lr=1e-3, metric="val_psnr")
    failed = cell(99.0, model="autoencoder", metric="val_psnr", outcome="failed")
    text = "\n".join(printed(GridTable("colorizer", [best, failed], {"val_psnr": 27.25})))
    assert "★35.90 ▲ / 35.76" in text
    assert "val_psnr_as_reported" in text  # how the published values were measured is said
    assert "constant predictor: 27.25 dB; 1 of 1 finished cells beat it" in text


def test_outcomes_other_than_finished_are_words_and_never_win() -> None:
    cells = [
        cell(1e-9, epochs=100, outcome="diverged"),
        cell(math.nan, epochs=300),
        cell(2e-4, epochs=500),
        cell(math.nan, epochs=500, lr=1e-3, outcome="running"),
    ]
    text = regression(cells, 1.73e-4)
    assert "diverged / 1.38e-4" in text
    assert "no value / 1.22e-4" in text
    assert "★2.00e-4 ▼ / 1.08e-4" in text
    assert "running / 1.31e-4" in text
    assert "not run / 1.59e-4" in text  # 100 epochs at 1e-3: in the grid's frame, but not given
    assert "constant predictor: 1.73e-4; 0 of 2 finished cells beat it" in text
    assert regression(cells[:1], 1.73e-4).endswith("constant predictor: 1.73e-4")


def test_scaled_cells_stand_beside_the_cell_they_name() -> None:
    scaled = [
        cell(1e-4, epochs=50, published_epochs=500),
        cell(2e-4, epochs=10, published_epochs=100),
    ]
    lines = [" ".join(line.split()) for line in regression(scaled).splitlines()]
    assert "50 (500) ★1.00e-4 ▲ / 1.08e-4" in lines
    assert "10 (100) 2.00e-4 ▼ / 1.38e-4" in lines
    plain = regression([cell(1e-4, epochs=50)])
    assert "★1.00e-4" in plain
    assert "/" not in plain
    assert "(500)" not in plain


def test_a_grid_without_cells_says_so() -> None:
    table = GridTable("colorizer", [], {})
    assert printed(table)[0] == "no cells"
    assert table.markdown().startswith("**no cells**")
    assert table.to_json()["cells"] == []


def test_records_are_json_and_say_what_is_unknown() -> None:
    cells = [
        CellRow("x", "cnn2", "relu", 1e-5, 500, {"val_mse": 1e-4}),
        cell(math.inf, epochs=300),
        cell(1e-5, epochs=7),
        cell(5e-5, epochs=100, outcome="running"),
    ]
    document = GridTable("regression", cells, {"val_mse": 1.73e-4}).to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    first, *others = document["cells"]
    assert first.items() >= {**dataclasses.asdict(cells[0]), "constant": 1.73e-4}.items()
    keys = ("value", "published", "better_than_published", "beats_constant")
    assert [first[key] for key in keys] == [1e-4, 0.000108, True, True]
    assert [[record[key] for key in keys] for record in others] == [
        [None, 0.0001218, None, None],
        [1e-5, None, None, True],
        [None, 0.000138, None, None],
    ]
    assert others[2]["metrics"] == {"val_mse": 5e-5}


def test_test_results_stand_beside_the_published_ones() -> None:
    published = {"test_mse_a": 0.00332, "test_psnr_a": 24.7877, "test_ssim_a_as_reported": 0.80334}
    measured = {**published, "test_mse_a": 3e-3, "test_psnr_a": 24.0}
    rows = [
        ResultRow("autoencoder, tanh", measured, published),
        ResultRow("unet", {"test_mse_a": 0.002}),
    ]
    table = TestTable("NCD on test", list(published), rows)
    lines = printed(table)
    assert lines[0] == "NCD on test"
    body = [line.split() for line in lines]
    assert ["autoencoder,", "tanh", "3.00e-3", "▲", "24.00", "▼", "0.803", "="] in body
    assert ["published", "3.32e-3", "24.79", "0.803"] in body
    assert ["unet", "2.00e-3", "–", "–"] in body
    assert sum(line[:1] == ["published"] for line in body) == 1
    assert "* measured as in the original paper" in lines
    assert max(map(len, lines)) <= 80
    assert table.markdown().splitlines()[2] == r"|  | MSE a | PSNR a, dB | SSIM a\* |"
    document = table.to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["rows"][1] == {
        "name": "unet",
        "measured": {"test_mse_a": 2e-3},
        "published": {},
    }
