"""Two launches side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tuning.errors import ChromatuneError
from tuning.report import Report, compare_launches
from tuning.report._document import Figures, Table, Text

Make = Callable[..., Any]


@pytest.fixture
def pair(
    make_launch: Make, make_cell: Make, make_store: Make, archive: Any
) -> Callable[..., Report]:
    """The report of two launches with these figures by (model, epochs)."""

    def make(first: dict[Any, float], second: dict[Any, float], **options: Any) -> Report:
        launches = [
            make_launch(
                [
                    make_cell(model, epochs=epochs, val_mse=v)
                    for (model, epochs), v in values.items()
                ],
                name=name,
                age=age,
                **(options if age else {}),
            )
            for age, (name, values) in enumerate((("one", first), ("two", second)))
        ]
        return compare_launches(make_store(*launches), archive, "one", "two")

    return make


def table_of(report: Report, anchor: str) -> Table:
    blocks = next(one for one in report.sections if one.anchor == anchor).blocks
    return next(block for block in blocks if isinstance(block, Table))


def words(report: Report) -> str:
    return " ".join(block.text for block in report.lead if isinstance(block, Text))


def test_cells_of_both_stand_in_one_row(pair: Make) -> None:
    report = pair(
        {("cnn1", 100): 2e-4, ("cnn2", 100): 1e-4, ("cnn3", 100): 5e-4},
        {("cnn1", 100): 1.5e-4, ("cnn2", 100): 3e-4, ("cnn4", 100): 9e-4},
    )
    rows = {row.label.split()[0]: row.cells for row in table_of(report, "cells").rows}
    assert [cell.text for cell in rows["cnn1"]] == ["2.00e-4", "1.50e-4", "25 % below"]
    assert [cell.verdict for cell in rows["cnn1"]] == [None, "better", None]
    assert rows["cnn2"][1].verdict == "worse"
    assert [cell.text for cell in rows["cnn3"]] == ["5.00e-4", "not planned", "–"]
    assert [cell.text for cell in rows["cnn4"]] == ["not planned", "9.00e-4", "–"]
    winners = {label: [cell.winner for cell in cells[:2]] for label, cells in rows.items()}
    assert winners["cnn2"] == ["all", None]
    assert winners["cnn1"] == [None, "table"]


def test_words_tell_who_is_ahead_and_in_how_many_cells(pair: Make) -> None:
    first = {("cnn1", 100): 2e-4, ("cnn2", 100): 1e-4}
    second = {("cnn1", 100): 1.5e-4, ("cnn2", 100): 3e-4}
    text = words(pair(first, second))
    assert text.startswith("one is ahead: its best cell, cnn2 ReLU, lr 1e-3, 100 epochs")
    assert "33 % below the best of two" in text
    assert "the second is better in 1, worse in 1 and equal in 0" in text
    assert words(pair(second, first)).startswith("two is ahead")
    assert "The best cells of both have" in words(pair(first, first))


def test_settings_that_differ_are_listed_without_paths(pair: Make) -> None:
    document = {
        "config": {"training": {"batch_size": 16, "seed": 0, "root": "/elsewhere"}},
        "command": "chromatune grid --data-root /home/other/data",
        "git_commit": "b" * 40,
    }
    figures = {("cnn1", 100): 1e-4}
    table = table_of(pair(figures, figures, document=document), "differences")
    rows = {row.label: [cell.text for cell in row.cells] for row in table.rows}
    assert rows["training.batch_size"] == ["100", "16"]
    assert rows["git_commit"] == ["a" * 40, "b" * 40]
    assert rows["command"][1] == "chromatune grid --data-root PATH/data"
    assert not any("root" in label for label in rows)
    assert "are the same in both" in table.notes[0]


def test_figures_are_those_of_both(pair: Make) -> None:
    figures = {("cnn1", 100): 1e-4, ("cnn1", 300): 2e-4}
    blocks = pair(figures, figures).sections[-1].blocks
    assert [len(block.figures) for block in blocks if isinstance(block, Figures)] == [2, 2]


def test_other_data_are_warned_of(pair: Make) -> None:
    figures = {("cnn1", 100): 1e-4}
    report = pair(figures, {("cnn1", 100): 2e-4}, digest="e" * 64)
    assert "different data" in words(report)
    assert "ahead" not in words(report)
    assert "The best cell of two, cnn1 ReLU, lr 1e-3, 100 epochs, has" in words(report)
    (row,) = table_of(report, "cells").rows
    assert [(cell.text, cell.verdict, cell.winner) for cell in row.cells] == [
        *(("1.00e-4", None, "table"), ("2.00e-4", None, "table"), ("–", None, None))
    ]
    assert next(block.kind for block in report.lead if isinstance(block, Text)) == "warning"


def test_a_launch_without_a_finished_cell_says_so(pair: Make) -> None:
    report = pair({("cnn1", 100): 1e-4}, {})
    assert words(report) == "two has no finished cell."


def test_what_cannot_be_compared_is_refused(
    make_launch: Make, make_store: Make, archive: Any
) -> None:
    store = make_store(make_launch(name="one"), make_launch(name="two", task="colorizer"))
    for names, complaint in (
        (("one", "two"), "two launches of one task"),
        (("one", "one"), "got one twice"),
        (("one", "tow"), r"no launch 'tow'.*did you mean 'two'"),
        (("last", "last"), "got last twice"),
        (("one", "last"), "there is no other regression launch than one"),
    ):
        with pytest.raises(ChromatuneError, match=complaint):
            compare_launches(store, archive, *names)


def test_last_is_the_newest_other_launch_of_the_task(
    make_launch: Make, make_store: Make, archive: Any
) -> None:
    launches = [make_launch(name=name, age=age) for age, name in enumerate(("old", "two", "new"))]
    store = make_store(*launches, make_launch(name="other", task="colorizer", age=9))
    for names, title in (
        (("old", "last"), "Two launches: old and new"),
        (("last", "old"), "Two launches: new and old"),
        (("new", "last"), "Two launches: new and two"),
    ):
        assert compare_launches(store, archive, *names).title == title
