"""Tables I and III: every cell beside the published figure and the constant predictor."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tuning.report.stores import make_cell, make_launch, make_store, whole_grid
from tuning.display.published import EPOCHS, LRS, TABLE_I, published_cell
from tuning.display.table import Cell, Table
from tuning.report import build_report
from tuning.report._grids import Grid
from tuning.report._selection import choose


def grid_of(*launches: Any, task: str = "regression") -> Grid:
    store = make_store(*launches)
    return Grid(choose(store).source, task, store)


def cells(tables: list[Table]) -> list[Cell]:
    return [cell for table in tables for row in table.rows for cell in row.cells]


def test_every_cell_stands_beside_its_published_figure() -> None:
    tables = grid_of(whole_grid("regression", lambda value: value / 2)).tables()
    for letter, (model, head), table in zip("abc", TABLE_I, tables, strict=True):
        assert table.caption == f"Table I ({letter}) {model}, ReLU: validation MSE"
        assert [row.label for row in table.rows] == ["100", "300", "500"]
        for epochs, row in zip(EPOCHS, table.rows, strict=True):
            for lr, cell in zip(LRS, row.cells, strict=True):
                published = published_cell("regression", model, head, lr, epochs)
                assert published is not None
                shown = float(cell.below[0].removeprefix("published "))
                assert shown == pytest.approx(published, rel=0.005)
                assert float(cell.text) == pytest.approx(published / 2, rel=0.005)
                assert cell.verdict == "better"
                assert cell.href is not None
                assert cell.href.startswith("http://ui/#/experiments/7/runs/run-")


def test_the_best_are_marked_and_what_the_constant_predictor_beats() -> None:
    """It has 1.65e-4, which CNN1 never reaches and CNN3 always."""
    first, second, third = grid_of(whole_grid("regression", lambda value: value)).tables()
    (winner,) = [cell for cell in cells([first, second, third]) if cell.winner == "all"]
    assert winner.text == "1.08e-4"  # CNN2 after 500 epochs at 1e-5
    for table in (first, second, third):
        assert sum(cell.winner is not None for cell in cells([table])) == 1
    assert all(cell.fails and cell.below[1].startswith("✗ const. ") for cell in cells([first]))
    assert not any(cell.fails for cell in cells([third]))
    assert third.rows[0].cells[0].below[1] == f"const. −{(1 - 1.14 / 1.65) * 100:.0f} %"
    assert first.notes == ("Constant predictor: 1.65e-4",)


def test_what_was_not_run_says_so() -> None:
    launch = make_launch(
        [
            make_cell("cnn1", lr=1e-3, epochs=100, val_mse=1e-4),
            make_cell("cnn1", lr=1e-4, epochs=100, outcome="diverged"),
            make_cell("cnn1", lr=1e-5, epochs=100, outcome="running", val_mse=0.5),
        ],
        planned=27,
    )
    grid = grid_of(launch)
    texts = [cell.text for cell in grid.tables()[0].rows[0].cells]
    assert texts == ["1.00e-4", "diverged", "running"]
    rest = [cell for cell in cells(grid.tables()) if cell.text == "not run"]
    assert len(rest) == 27 - 3
    assert all(cell.missing and cell.below[0].startswith("published") for cell in rest)
    assert "1 of 27 planned cells have finished" in grid.notes()[0].text


def test_a_shorter_training_stands_in_the_published_row() -> None:
    launch = make_launch(
        [make_cell("cnn2", epochs=n, published=p, val_mse=1e-4) for n, p in ((5, 100), (25, 500))]
    )
    row = grid_of(launch).tables()[1].rows[2]
    assert (row.label, row.below) == ("25", ("for 500",))
    assert row.cells[0].below[0] == "published 1.31e-4"
    assert row.cells[0].verdict == "better"


def test_seeds_are_averaged_and_their_spread_is_shown() -> None:
    launches = [
        make_launch([make_cell("cnn2", epochs=100, seed=seed, val_mse=value)], age=seed)
        for seed, value in enumerate((1e-4, 2e-4, 3e-4))
    ]
    cell = grid_of(*launches).tables()[1].rows[0].cells[0]
    assert (cell.text, cell.below[0]) == ("2.00e-4", "± 1.00e-4, n = 3")


def test_other_pictures_are_compared_with_nothing() -> None:
    pictures = {"dataset": "synthetic-faces", "source": "synthetic"}
    grid = grid_of(whole_grid("colorizer", lambda value: value + 5, **pictures), task="colorizer")
    assert {cell.verdict for cell in cells(grid.tables())} == {None}
    assert all(cell.below[0].startswith("published ") for cell in cells(grid.tables()))
    assert "published" not in grid.findings()[0].text


def test_models_beyond_the_paper_have_tables_of_their_own() -> None:
    tables = grid_of(make_launch([make_cell("resnet", lr=3e-4, epochs=40, val_mse=9e-5)])).tables()
    assert tables[3].caption.startswith("Table I (d) resnet, ReLU, not published")
    assert tables[3].columns == ("lr 1e-3", "lr 3e-4", "lr 1e-4", "lr 1e-5")
    (row,) = tables[3].rows
    assert [cell.text for cell in row.cells] == ["not run", "9.00e-5", "not run", "not run"]
    assert row.cells[1].verdict is None


def test_the_rank_of_the_published_winner_is_stated() -> None:
    same = grid_of(whole_grid("regression", lambda value: value)).findings()[0].text
    assert "The published winner (cnn2 ReLU, lr 1e-5, 500 epochs) wins here too." in same
    assert "0 of 27 values are better and 0 worse, 27 equal" in same
    upside_down = grid_of(whole_grid("regression", lambda value: 1e-4 / value)).findings()[0].text
    assert "is number 27 of 27 here" in upside_down


def test_without_a_grid_the_tables_stand_empty(archive: Any) -> None:
    section = build_report(make_store(), archive).sections[1]
    texts = [block.text for block in section.blocks if hasattr(block, "text")]
    assert any("No regression grid was run" in text for text in texts)
    assert sum(isinstance(block, Table) for block in section.blocks) == 4
