"""One model of a table, rendered for a terminal, as Markdown, and as HTML for a notebook.

The report's page has a renderer of its own.
"""

from __future__ import annotations

import dataclasses
import html as markup
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

Verdict = Literal["better", "worse", "equal"]
Winner = Literal["all", "table"]

# Signs, so that color only repeats what they say.
_VERDICTS = {"better": "▲", "worse": "▼", "equal": "="}
_STARS = {"all": "★", "table": "☆"}
_COLOURS = {"better": "green", "worse": "red", "equal": ""}
# A terminal of 80 columns or fewer; a table that is wider is continued in another one.
_TERMINAL, _WIDEST_LABEL, _FOLDED = 80, 30, 24


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: a value, what stands `beside` it in its line, and lines `below` it.

    `verdict` compares the value with the published one, `winner` marks the best of the table or of
    all tables, `fails` says that the constant predictor does no worse. `missing` is a cell that was
    not run or has no value; `href` is its run's page.
    """

    text: str
    below: tuple[str, ...] = ()
    verdict: Verdict | None = None
    winner: Winner | None = None
    fails: bool = False
    missing: bool = False
    href: str | None = None
    beside: str = ""

    @property
    def mark(self) -> str:
        """The sign of the comparison with the published value; empty if there is none."""
        return _VERDICTS[self.verdict] if self.verdict else ""

    @property
    def starred(self) -> str:
        """The text behind its star, if it has one."""
        return f"{_STARS[self.winner] if self.winner else ''}{self.text}"

    @property
    def after(self) -> str:
        """What follows the text in its line: the sign and what stands beside it."""
        beside = f" / {self.beside}" if self.beside else ""
        return f" {self.mark}{beside}" if self.mark else beside


@dataclasses.dataclass(frozen=True)
class Row:
    """A label and its cells; a `detail` belongs to the row above it."""

    label: str
    cells: tuple[Cell, ...]
    below: tuple[str, ...] = ()
    detail: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its caption above and notes beneath; `corner` heads the labels.

    Values are aligned right, except in the columns that `left` names, which hold words. `stacks`
    says that on a narrow screen each row becomes a card of its own.
    """

    caption: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    stacks: bool = False
    left: Collection[str] = ()


def row(label: str, *texts: str, detail: bool = False) -> Row:
    """Make a row of plain texts."""
    return Row(label, tuple(Cell(text) for text in texts), detail=detail)


def terminal(tables: Sequence[Table]) -> RenderableType:
    """Lay tables out for the terminal that they are printed on."""
    return _OnTerminal(tables)


@dataclasses.dataclass(frozen=True)
class _OnTerminal:
    tables: Sequence[Table]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        for table in self.tables:
            yield from _grids(table, min(_TERMINAL, options.max_width))
            yield from map(Text, table.notes)


def _grids(table: Table, width: int) -> Iterator[RenderableType]:
    from rich import box
    from rich import table as rich_table
    from rich.text import Text

    for shown in _column_groups(table, width):
        if table.caption:
            # A rich table's own title would be broken to the width of a narrow table.
            yield Text(table.caption, style="bold")
        grid = rich_table.Table(box=box.SIMPLE_HEAD, pad_edge=False)
        grid.add_column(Text(table.corner), overflow="fold", min_width=6)
        for number in shown:
            heading = table.columns[number]
            if heading in table.left:
                grid.add_column(Text(heading), overflow="fold")
            else:
                heads = Text(heading.replace(", ", "\n"))
                grid.add_column(heads, justify="right", no_wrap=True)
        for line in table.rows:
            label = "\n".join([f"{'  ' if line.detail else ''}{line.label}", *line.below])
            cells = [_in_colour(line.cells[number]) for number in shown]
            grid.add_row(Text(label), *cells, style="dim" if line.detail else "")
        yield grid


def markdown(tables: Sequence[Table]) -> str:
    """Write tables as Markdown, each with its notes as a list beneath."""
    return "\n\n".join(map(_markdown, tables)) + "\n"


def html(tables: Sequence[Table]) -> str:
    """Write tables as HTML without scripts and styles, for the output of a notebook."""
    return "\n".join(map(_html, tables))


def escape_markdown(text: str, *, code: bool = False) -> str:
    """Keep Markdown from reading signs into a text; with `code`, backquotes keep their meaning."""
    special = "\\*_[]<>|" if code else "\\`*_[]<>|"
    parts = text.split("`") if code else [text]
    escaped = [
        part if number % 2 else "".join(f"\\{sign}" if sign in special else sign for sign in part)
        for number, part in enumerate(parts)
    ]
    return "`".join(escaped)


def _column_groups(table: Table, width: int) -> Iterator[list[int]]:
    """Divide the columns so that each group fits beside the labels."""
    label = max([len(table.corner), *(len(line.label) + 2 for line in table.rows)])
    room = width - min(label, _WIDEST_LABEL, width // 2)
    group: list[int] = []
    taken = 0
    for number, heading in enumerate(table.columns):
        texts = [f"{cell.starred}{cell.after}" for cell in (r.cells[number] for r in table.rows)]
        widest = max(len(text) for text in [*heading.split(", "), *texts])
        needed = 2 + (min(widest, _FOLDED) if heading in table.left else widest)
        if group and taken + needed > room:
            yield group
            group, taken = [], 0
        group.append(number)
        taken += needed
    yield group


def _in_colour(cell: Cell) -> Any:
    """Repeat in colour and weight what the signs already say."""
    from rich.text import Text

    text = Text(cell.starred, style="bold" if cell.winner else "")
    if cell.mark:
        text.append(f" {cell.mark}", _COLOURS[cell.verdict or "equal"])
    text.append(cell.after.removeprefix(f" {cell.mark}") if cell.mark else cell.after)
    text.append("".join(f"\n{line}" for line in cell.below), "dim")
    return text


def _markdown(table: Table) -> str:
    heads = " | ".join(map(escape_markdown, (table.corner, *table.columns)))
    rule = "".join("|---" if heading in table.left else "|---:" for heading in table.columns)
    lines = [f"**{escape_markdown(table.caption)}**", ""] if table.caption else []
    lines += [f"| {heads} |", f"|---{rule}|"]
    for line in table.rows:
        label = escape_markdown(line.label)
        label = f"**{label}**" if label and not line.detail else label
        labels = "<br>".join([label, *map(escape_markdown, line.below)])
        lines.append(f"| {' | '.join([labels, *map(_markdown_cell, line.cells)])} |")
    notes = [f"- {escape_markdown(note)}" for note in table.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.starred)
    if cell.href:
        text = f"[{text}]({cell.href})"
    if text and (cell.verdict == "better" or cell.winner):
        text = f"**{text}**"
    elif text and cell.missing:
        text = f"*{text}*"
    return "<br>".join([f"{text}{escape_markdown(cell.after)}", *map(escape_markdown, cell.below)])


def _html(table: Table) -> str:
    heads = "".join(f"<th>{markup.escape(text)}</th>" for text in (table.corner, *table.columns))
    rows = [
        f"<tr><th>{_lines(line.label, *line.below)}</th>{''.join(map(_html_cell, line.cells))}</tr>"
        for line in table.rows
    ]
    notes = "".join(f"<p>{markup.escape(note)}</p>" for note in table.notes)
    caption = markup.escape(table.caption)
    return (
        f"<p><b>{caption}</b></p><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{notes}"
    )


def _html_cell(cell: Cell) -> str:
    return f"<td>{_lines(f'{cell.starred}{cell.after}', *cell.below)}</td>"


def _lines(*texts: str) -> str:
    return "<br>".join(markup.escape(line) for text in texts for line in text.splitlines())
