"""An archive for every test, and a report with one block of every kind."""

from __future__ import annotations

import dataclasses

import pytest

from tests.tuning.report.stores import FakeArchive, picture_file
from tuning.display.table import Cell, Row, Table
from tuning.report import Report
from tuning.report._document import Facts, Figure, Section, Text, TileRow, Tiles

KINDS = ("plain", "note", "warning", "missing", "commands")


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive()


@pytest.fixture(scope="session")
def report() -> Report:
    """One block of every kind, with signs that each format must escape."""
    cells = (
        Cell("1.08e-4", ("published 1.22e-4",), "better", "all", href="http://ui/#/runs/1?a=1&b=2"),
        Cell("2.00e-4", ("published <1>",), "worse", fails=True),
        Cell("not run", missing=True),
    )
    table = Table("Table I | <a>", "epochs", ("1e-3", "1e-4", "1e-5"), (Row("5", cells),), ("*",))
    figure = Figure("heatmap", "A & B", picture_file("PNG"), 'the "best"')
    rows = tuple(
        TileRow(f"row {n}", (picture_file("JPEG"), picture_file("JPEG"))) for n in range(3)
    )
    blocks = [
        Text("`chromatune report` says 1e-3 < 2", "finding"),
        *map(Text, KINDS, KINDS),
        *(table, dataclasses.replace(table, stacks=True)),
        figure,
        dataclasses.replace(figure, name="loss", width="half"),
        Tiles("best", "Ten best", ("ours", "truth"), rows),
        Facts((("digest", "abc"),), "Data"),
    ]
    sections = [Section("grid", "III", "Regression & <more>", blocks)]
    return Report("Title <b>", "faces · today", [Text("lead")], sections, ("▲ better",))
