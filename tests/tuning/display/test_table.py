"""One table, rendered for a terminal and as Markdown."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from tuning.display.table import Cell, Row, Table, escape_markdown, markdown, row, terminal

TABLE = Table(
    "Results | <all>",
    "model",
    ("MSE, *", "settings"),
    (
        Row(
            "cnn2",
            (
                Cell("1.0e-4", ("± 1e-5",), "better", "all", href="http://ui/?a=1&b=2"),
                Cell("lr 1e-3"),
            ),
            ("500 epochs",),
        ),
        row("published", "2.0e-4", "", detail=True),
        Row("fc", (Cell("3.0e-4", verdict="worse", fails=True, beside="2.5e-4"), Cell("[red]"))),
        Row("cnn3", (Cell("not run", missing=True), Cell(""))),
    ),
    ("★ best_of all",),
    left=("settings",),
)


def printed(*tables: Table, width: int = 80) -> list[str]:
    console = Console(width=width, record=True, color_system=None, file=io.StringIO())
    console.print(terminal(tables))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_terminal_shows_signs_details_and_notes() -> None:
    lines = printed(TABLE)
    assert lines[0] == "Results | <all>"
    body = [" ".join(line.split()) for line in lines]
    assert "cnn2 ★1.0e-4 ▲ lr 1e-3" in body
    assert "500 epochs ± 1e-5" in body
    assert any(line.startswith("   published") for line in lines)
    assert "fc 3.0e-4 ▼ / 2.5e-4 [red]" in body
    assert lines[-1] == "★ best_of all"


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_narrow_terminal_has_narrow_tables(width: int) -> None:
    columns = ("MSE, *", "settings")
    lines = printed(Table("", "model", columns, (row("cnn2", "1.0e-4", "lr"),)), width=width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert {"cnn2", "1.0e-4", "lr"} <= set(" ".join(lines).split())


def test_a_table_too_wide_for_a_terminal_is_continued() -> None:
    heads = tuple(f"lr 1e-{n}" for n in range(1, 6))
    wide = Table("wide", "epochs", heads, (row("100", *["★1.01e-4 ▲ / 1.96e-4"] * 5),))
    lines = printed(wide)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert lines.count("wide") == sum("epochs" in line for line in lines) == 2
    assert " ".join(lines).count("★") == 5


def test_markdown_has_aligned_columns_links_and_escaped_signs() -> None:
    lines = markdown([TABLE]).splitlines()
    assert lines[0] == r"**Results \| \<all\>**"
    assert lines[2:4] == [r"| model | MSE, \* | settings |", "|---|---:|---|"]
    assert lines[4] == (
        "| **cnn2**<br>500 epochs | **[★1.0e-4](http://ui/?a=1&b=2)** ▲<br>± 1e-5 | lr 1e-3 |"
    )
    assert lines[5] == "| published | 2.0e-4 |  |"
    assert lines[6] == r"| **fc** | 3.0e-4 ▼ / 2.5e-4 | \[red\] |"
    assert lines[7] == "| **cnn3** | *not run* |  |"
    assert lines[-1] == r"- ★ best\_of all"


def test_code_in_backquotes_stays_code() -> None:
    assert escape_markdown("`a_b` c_d", code=True) == r"`a_b` c\_d"
    assert escape_markdown("`a_b`") == r"\`a\_b\`"


def test_showing_results_needs_no_framework_and_only_the_terminal_rich() -> None:
    program = (
        "import sys; sys.modules |= dict.fromkeys(('rich', 'torch', 'ray', 'mlflow')); "
        "import tuning.display.grid_table, tuning.display.progress, tuning.display.plots; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
