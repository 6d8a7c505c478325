from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from rich.console import Console, RenderableType

from tuning.display.tables import (
    CellRow,
    ResultRow,
    as_records,
    constant_line,
    grid_panels,
    grid_tables,
    markdown_table,
    result_markdown,
    result_table,
)
from tuning.errors import ChromatuneError


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


def grid(scale: float = 1.0) -> list[CellRow]:
    """27 cells, from 1.01e-4 (cnn1, 1e-3, 100) up to 1.27e-4."""
    places = [
        (model, lr, epochs)
        for model in ("cnn1", "cnn2", "cnn3")
        for lr in (1e-3, 1e-4, 1e-5)
        for epochs in (100, 300, 500)
    ]
    return [
        cell(scale * (1 + (i + 1) / 100) * 1e-4, model=model, lr=lr, epochs=epochs)
        for i, (model, lr, epochs) in enumerate(places)
    ]


def printed(table: RenderableType, width: int = 80) -> list[str]:
    console = Console(width=width, record=True, color_system=None, file=io.StringIO())
    console.print(table)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_grid_reads_as_the_report_in_80_columns() -> None:
    lines = printed(grid_tables(grid(), "regression", {"val_mse": 1.1e-4}))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    titles = [line for line in lines if line.endswith("validation MSE")]
    assert titles == [f"{name}, ReLU: validation MSE" for name in ("cnn1", "cnn2", "cnn3")]
    heading = next(line for line in lines if "epochs" in line)
    assert heading.split() == ["epochs", "lr", "1e-3", "lr", "1e-4", "lr", "1e-5"]
    first = next(line for line in lines if line.split()[:1] == ["100"])
    expected = "100 ★1.01e-4 ▲ / 1.96e-4 1.04e-4 ▲ / 1.95e-4 1.07e-4 ▲ / 1.88e-1"
    assert " ".join(first.split()) == expected
    assert sum(line.count("★") for line in lines if "/ 1." in line) == 1
    assert sum(line.count("☆") for line in lines if "/ 1." in line) == 2  # cnn2's and cnn3's best


@pytest.mark.parametrize(
    ("value", "mark"), [(1.07e-4, "▲"), (1.09e-4, "▼"), (1.0804e-4, "="), (1.0796e-4, "=")]
)
def test_marks_of_an_error_follow_what_is_printed(value: float, mark: str) -> None:
    assert f" {mark} / 1.08e-4" in "\n".join(printed(grid_tables([cell(value)], "regression")))


@pytest.mark.parametrize(("value", "mark"), [(35.9, "▲"), (35.7, "▼"), (35.76, "=")])
def test_marks_of_psnr(value: float, mark: str) -> None:
    one = cell(value, model="autoencoder", head="tanh", lr=1e-3, metric="val_psnr")
    text = "\n".join(printed(grid_tables([one], "colorizer")))
    assert f"★{value:.2f} {mark} / 35.76" in text
    assert "val_psnr_as_reported" in text  # how the report measured is said


def test_outcomes_other_than_finished_are_words_and_never_win() -> None:
    cells = [
        cell(1e-9, epochs=100, outcome="diverged"),
        cell(math.nan, epochs=300),
        cell(2e-4, epochs=500),
        cell(math.nan, epochs=500, lr=1e-3, outcome="running"),
    ]
    text = "\n".join(printed(grid_tables(cells, "regression", {"val_mse": 1.73e-4})))
    assert "diverged / 1.38e-4" in text
    assert "no value / 1.22e-4" in text
    assert "★2.00e-4 ▼ / 1.08e-4" in text
    assert "running / 1.31e-4" in text
    assert "not run / 1.59e-4" in text  # 100 epochs at 1e-3: in the grid's frame, but not given
    assert "constant predictor: 1.73e-4; 2 of 2 finished cells do not beat it" in text


def test_scaled_cells_stand_beside_the_cell_they_name() -> None:
    scaled = [
        cell(1e-4, epochs=50, published_epochs=500),
        cell(2e-4, epochs=10, published_epochs=100),
    ]
    text = "\n".join(printed(grid_tables(scaled, "regression")))
    assert "50 (500)   ★1.00e-4 ▲ / 1.08e-4" in text
    assert "10 (100)    2.00e-4 ▼ / 1.38e-4" in text
    plain = "\n".join(printed(grid_tables([cell(1e-4, epochs=50)], "regression")))
    assert "★1.00e-4" in plain
    assert "/" not in plain
    assert "(500)" not in plain


def test_many_learning_rates_go_into_several_tables() -> None:
    cells = [cell(1e-4, lr=10.0**-i) for i in range(1, 6)]
    lines = printed(grid_tables(cells, "regression"))
    assert max(map(len, lines)) <= 80
    assert sum("epochs" in line and "lr" in line for line in lines) == 2


def test_a_metric_the_report_lacks_is_compared_with_nothing() -> None:
    one = cell(0.9, model="autoencoder", head="tanh", lr=1e-3, metric="val_ssim")
    assert "★0.900\n" in "\n".join(printed(grid_tables([one], "colorizer", metric="val_ssim")))
    assert as_records([one], "colorizer", metric="val_ssim")[0]["published"] is None


def test_a_cell_given_twice_is_said() -> None:
    lines = printed(grid_tables([cell(1e-4), cell(3e-4)], "regression"))
    assert any("★3.00e-4" in line for line in lines)
    assert "1 cells are given more than once: the last is shown." in lines


def test_markdown_is_a_table_of_the_same_numbers() -> None:
    text = markdown_table(grid(), "regression", {"val_mse": 1.1e-4})
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3 * (2 + 3)
    assert len({line.count("|") for line in rows}) == 1
    assert "| 100 | **★1.01e-4 ▲ / 1.96e-4** | 1.04e-4 ▲ / 1.95e-4 | 1.07e-4 ▲ / 1.88e-1 |" in rows
    # 1.10e-4 itself is no better than the constant: cells 10 to 27 do not beat it.
    assert text.endswith("- constant predictor: 1.10e-4; 18 of 27 finished cells do not beat it\n")


def test_constant_line_of_psnr() -> None:
    cells = [
        cell(27.0, model="autoencoder", metric="val_psnr"),
        cell(30.0, model="autoencoder", metric="val_psnr", epochs=300),
        cell(1.0, model="autoencoder", metric="val_psnr", epochs=100, outcome="failed"),
    ]
    line = constant_line(cells, "val_psnr", {"val_psnr": 27.25})
    assert line == "constant predictor: 27.25 dB; 1 of 2 finished cells do not beat it"
    assert constant_line(cells, "val_psnr", {}) is None


def test_records_are_json_and_say_what_is_unknown() -> None:
    cells = [
        CellRow("x", "cnn2", "relu", 1e-5, 500, MappingProxyType({"val_mse": 1e-4})),
        cell(math.inf, epochs=300),
        cell(1e-5, epochs=7),
        cell(5e-5, epochs=100, outcome="running"),
    ]
    records = as_records(cells, "regression", {"val_mse": 1.73e-4})
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    assert records[0] == {
        "cell_id": "x",
        "model": "cnn2",
        "head": "relu",
        "lr": 1e-5,
        "epochs": 500,
        "metrics": {"val_mse": 1e-4},
        "outcome": "finished",
        "run_id": None,
        "launch_id": None,
        "published_epochs": None,
        "dataset": "faces",
        "metric": "val_mse",
        "value": 1e-4,
        "published": 0.000108,
        "better_than_published": True,
        "constant": 1.73e-4,
        "beats_constant": True,
    }
    keys = ("value", "published", "better_than_published", "beats_constant")
    assert [records[1][key] for key in keys] == [None, 0.0001218, None, None]
    assert [records[2][key] for key in keys] == [1e-5, None, None, True]
    assert [records[3][key] for key in keys] == [None, 0.000138, None, None]
    assert records[3]["metrics"] == {"val_mse": 5e-5}


def test_panels_follow_the_tables() -> None:
    cells = [c for c in grid() if (c.model, c.lr) != ("cnn3", 1e-3)]
    panels = grid_panels(cells, "regression")
    assert (panels.rows, panels.columns) == (["100", "300", "500"], ["1e-3", "1e-4", "1e-5"])
    assert list(panels.values) == ["cnn1, ReLU", "cnn2, ReLU", "cnn3, ReLU"]
    assert panels.values["cnn1, ReLU"][1] == pytest.approx([1.02e-4, 1.05e-4, 1.08e-4])
    assert [math.isnan(v) for v in panels.values["cnn3, ReLU"][0]] == [True, False, False]


def test_no_cells() -> None:
    assert printed(grid_tables([], "regression")) == ["no cells"]
    assert markdown_table([], "colorizer") == "no cells\n"
    assert as_records([], "colorizer") == []


def test_unknown_task() -> None:
    with pytest.raises(ChromatuneError, match="'regresion'; did you mean 'regression'"):
        grid_tables([cell(1e-4)], "regresion")


ROWS = [
    ResultRow(
        "autoencoder, tanh",
        {"test_mse_a": 0.003, "test_psnr_a": 24.0, "test_ssim_a_as_reported": 0.80334},
        {"test_mse_a": 0.00332, "test_psnr_a": 24.7877, "test_ssim_a_as_reported": 0.80334},
        {"test_mse_a": 0.006, "test_psnr_a": 22.0},
    ),
    ResultRow("unet", {"test_mse_a": 0.002}),
]
COLUMNS = ["test_mse_a", "test_psnr_a", "test_ssim_a_as_reported"]


def test_results_stand_beside_report_and_constant() -> None:
    lines = printed(result_table("NCD on test", COLUMNS, ROWS))
    assert lines[0] == "NCD on test"
    body = [line.split() for line in lines]
    assert ["autoencoder,", "tanh", "3.00e-3", "▲", "24.00", "▼", "0.803", "="] in body
    assert ["report", "3.32e-3", "24.79", "0.803"] in body
    assert ["constant", "6.00e-3", "22.00", "–"] in body
    assert ["unet", "2.00e-3", "–", "–"] in body
    assert sum(line[:1] == ["report"] for line in body) == 1
    assert "* measured as the report did" in lines
    assert max(map(len, lines)) <= 80


def test_results_in_markdown() -> None:
    lines = result_markdown("NCD on test", COLUMNS, ROWS).splitlines()
    assert lines[2] == r"| | MSE a | PSNR a, dB | SSIM a\* |"
    assert lines[4:8] == [
        "| **autoencoder, tanh** | 3.00e-3 ▲ | 24.00 ▼ | 0.803 = |",
        "| report | 3.32e-3 | 24.79 | 0.803 |",
        "| constant | 6.00e-3 | 22.00 | – |",
        "| **unet** | 2.00e-3 | – | – |",
    ]
