"""Tables of results: laid out for people and written as JSON."""

from __future__ import annotations

import io

from rich.console import Console

from tuning.display.result_tables import GridTable, TestTable
from tuning.display.tables import CellRow, ResultRow

CELLS = [
    CellRow("cnn1-relu-lr1e-3-e3", "cnn1", "relu", 1e-3, 3, {"val_mse": 2e-4}, launch_id="grid-1"),
    CellRow("cnn1-relu-lr1e-3-e5", "cnn1", "relu", 1e-3, 5, {"val_mse": 1e-4}, run_id="r" * 32),
    CellRow("cnn1-relu-lr1e-4-e3", "cnn1", "relu", 1e-4, 3, {}, "diverged", published_epochs=300),
    CellRow("cnn2-relu-lr1e-4-e5", "cnn2", "relu", 1e-4, 5, {"val_mse": 3e-4}, dataset="drawn"),
]
GRID = GridTable("regression", CELLS, {"val_mse": 1.7e-4})
TEST = TestTable(
    "regression on faces, test set",
    ["test_mse_a", "test_rmse_lab_a"],
    [
        ResultRow("cnn2 relu, 500 epochs", {"test_mse_a": 1e-4, "test_rmse_lab_a": 2.5}),
        ResultRow("fc relu, 100 epochs", {"test_mse_a": 9e-5}, {"test_mse_a": 1.2e-4}),
        ResultRow("constant predictor", {"test_mse_a": 3e-4, "test_rmse_lab_a": 4.5}),
    ],
)


def test_the_grid_says_of_every_cell_whether_it_beats_the_constant() -> None:
    records = GRID.to_json()["cells"]
    assert [record["beats_constant"] for record in records] == [False, True, None, False]
    assert [record["value"] for record in records] == [2e-4, 1e-4, None, 3e-4]


def test_the_markdown_of_a_grid_has_a_table_a_model_and_a_row_an_epoch_count() -> None:
    rows = [line.split("|")[1:-1] for line in GRID.markdown().splitlines() if line[:1] == "|"]
    assert [len(row) for row in rows] == [3] * 8
    assert [row[0].strip() for row in rows] == ["epochs", "---:", "3 (300)", "5"] * 2
    assert [cell.strip() for cell in rows[0]][1:] == ["lr 1e-3", "lr 1e-4"]
    assert "diverged" in rows[2][2]
    assert "★" in rows[3][1]
    assert "☆" in rows[7][2]


def test_the_markdown_of_test_results_ends_with_the_constant_predictor() -> None:
    lines = TEST.markdown().splitlines()
    assert lines[0] == f"**{TEST.title}**"
    rows = [line.split("|")[1:-1] for line in lines if line[:1] == "|"]
    assert {len(row) for row in rows} == {1 + len(TEST.columns)}
    names = [row[0].strip(" *") for row in rows[2:]]
    assert names == [
        *("cnn2 relu, 500 epochs", "fc relu, 100 epochs", "report", "constant predictor")
    ]
    assert ["▲" in row[1] for row in rows[2:]] == [False, True, False, False]
    assert rows[3][2].strip() == "–"


def test_on_a_terminal_every_row_and_its_figures_are_there() -> None:
    text = _printed(TEST)
    assert TEST.title in text
    for row in TEST.rows:
        (line,) = (line for line in text.splitlines() if line.strip().startswith(row.name))
        assert f"{row.measured['test_mse_a']:.2e}".replace("e-0", "e-") in line


def _printed(table: TestTable) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(table.rich())
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()
