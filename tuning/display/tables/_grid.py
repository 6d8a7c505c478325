"""A grid laid out as the report's tables: epochs down, learning rates across."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tuning.display.formatting import format_lr, format_value, metric_title
from tuning.display.published import TABLE_I, TABLE_III
from tuning.display.tables._rows import (
    CellRow,
    best_value,
    comparable,
    comparison_mark,
    constant_line,
    grid_metric,
)

_ORDER = [*TABLE_I, *TABLE_III]
_HEADS = {"relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh"}
# Three columns of "measured / published" are what 80 columns of a terminal hold.
_COLUMNS = 3
_LEGEND = "★ best of all ☆ of its table"
_COMPARED = "measured / report · ▲ better ▼ worse = equal"


@dataclasses.dataclass(frozen=True)
class GridPanels:
    """A grid's values for a heatmap: `values` maps a title to rows of numbers, NaN where none."""

    rows: list[str]
    columns: list[str]
    values: dict[str, list[list[float]]]


@dataclasses.dataclass(frozen=True)
class _Layout:
    """The cells by place: for each model and head a row per number of epochs, a column per lr.

    A place without a cell holds one that is `not run`. Of several cells for one place (two launches
    of a grid) the last given is kept. The label `10 (100)` is 10 epochs that stand for the report's
    100.
    """

    task: str
    metric: str
    cells: list[CellRow]
    labels: list[str]
    lrs: list[float]
    groups: dict[tuple[str, str], list[list[CellRow]]]
    repeated: int

    @classmethod
    def of(cls, cells: Sequence[CellRow], task: str, metric: str | None) -> _Layout:
        places = {(c.model, c.head, c.epochs, c.lr): c for c in cells}
        kept = list(places.values())
        keys = sorted({(c.model, c.head) for c in kept}, key=_rank)
        lrs = sorted({c.lr for c in kept}, reverse=True)
        epochs = {c.epochs: c.published_epochs for c in kept}
        groups = {
            (model, head): [
                [
                    places.get(
                        (model, head, count, lr),
                        CellRow(
                            *("", model, head, lr, count, {}, "not run"),
                            published_epochs=stands_for,
                            dataset=kept[0].dataset,
                        ),
                    )
                    for lr in lrs
                ]
                for count, stands_for in sorted(epochs.items())
            ]
            for model, head in keys
        }
        labels = [
            f"{count} ({stands_for})" if stands_for not in (None, count) else str(count)
            for count, stands_for in sorted(epochs.items())
        ]
        repeated = len(cells) - len(kept)
        return cls(task, grid_metric(task, metric), kept, labels, lrs, groups, repeated)

    @property
    def is_compared(self) -> bool:
        """Whether the report has any of these cells."""
        places = [cell for group in self.groups.values() for row in group for cell in row]
        return any(self.published(cell) is not None for cell in places)

    def published(self, cell: CellRow) -> float | None:
        return cell.published(self.task) if comparable(self.task, self.metric) else None

    def text(self, cell: CellRow, best_here: float, best: float) -> str:
        """Write `★1.08e-4 ▲ / 1.22e-4`; `–` where the report has no such cell.

        Where it has none of the grid's cells, the measured number stands alone.
        """
        value = cell.value(self.metric)
        published = self.published(cell)
        right = f" / {'–' if published is None else format_value(self.metric, published)}"
        right = right if self.is_compared else ""
        if cell.outcome != "finished":
            return f"{cell.outcome}{right}"
        if math.isnan(value):
            return f"no value{right}"
        star = "★" if value == best else "☆" if value == best_here else ""
        mark = "" if published is None else f" {comparison_mark(self.metric, value, published)}"
        return f"{star}{format_value(self.metric, value)}{mark}{right}"

    def rows(self, key: tuple[str, str]) -> list[list[str]]:
        """The texts of one table: a row per number of epochs, a column per learning rate."""
        group = self.groups[key]
        best = best_value(self.cells, self.metric)
        best_here = best_value([cell for row in group for cell in row], self.metric)
        return [[self.text(cell, best_here, best) for cell in row] for row in group]

    def notes(self, baseline: Mapping[str, float] | None) -> list[str]:
        notes = [f"{_COMPARED} · {_LEGEND}" if self.is_compared else _LEGEND]
        if any(c.published_epochs not in (None, c.epochs) for c in self.cells):
            notes.append(
                "Epochs in brackets: the report's cell that a shortened training stands for."
            )
        if self.task == "colorizer" and self.metric == "val_psnr" and self.is_compared:
            notes.append(
                "The report measured with BatchNorm in training mode: see val_psnr_as_reported."
            )
        if self.repeated:
            notes.append(f"{self.repeated} cells are given more than once: the last is shown.")
        constant = constant_line(self.cells, self.metric, baseline or {})
        return [*notes, constant] if constant else notes


def grid_tables(
    cells: Sequence[CellRow],
    task: str,
    baseline: Mapping[str, float] | None = None,
    metric: str | None = None,
) -> RenderableType:
    """Lay a grid out for a terminal of 80 columns or more, one table per model and head.

    `baseline` holds the constant predictor's metrics; `metric` is by default that of the report's
    grid, `val_mse` or `val_psnr`. Marks, not colours, tell what is better.
    """
    layout = _Layout.of(cells, task, metric)
    if not layout.cells:
        return Text("no cells")
    parts: list[RenderableType] = []
    for key in layout.groups:
        rows = layout.rows(key)
        for start in range(0, len(layout.lrs), _COLUMNS):
            shown = slice(start, start + _COLUMNS)
            # A table's own title would be broken to the width of a narrow table.
            parts.append(Text(f"{_name(key)}: {metric_title(layout.metric)}", style="bold"))
            table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
            table.add_column("epochs", justify="right", no_wrap=True)
            for lr in layout.lrs[shown]:
                table.add_column(f"lr {format_lr(lr)}", justify="right", no_wrap=True)
            for label, row in zip(layout.labels, rows, strict=True):
                table.add_row(label, *map(_coloured, row[shown]))
            parts.append(table)
    parts.extend(Text(note) for note in layout.notes(baseline))
    return Group(*parts)


def markdown_table(
    cells: Sequence[CellRow],
    task: str,
    baseline: Mapping[str, float] | None = None,
    metric: str | None = None,
) -> str:
    """Write the same tables as `grid_tables` in Markdown."""
    layout = _Layout.of(cells, task, metric)
    if not layout.cells:
        return "no cells\n"
    blocks = []
    for key in layout.groups:
        heads = [f"lr {format_lr(lr)}" for lr in layout.lrs]
        lines = [f"**{_name(key)}: {metric_title(layout.metric)}**", ""]
        lines.append(f"| epochs | {' | '.join(heads)} |")
        lines.append("|---:" * (1 + len(heads)) + "|")
        for label, row in zip(layout.labels, layout.rows(key), strict=True):
            bold = [f"**{text}**" if text[0] in "★☆" else text for text in row]
            lines.append(f"| {label} | {' | '.join(bold)} |")
        blocks.append("\n".join(lines))
    blocks.append("\n".join(f"- {note}" for note in layout.notes(baseline)))
    return "\n\n".join(blocks) + "\n"


def grid_panels(cells: Sequence[CellRow], task: str, metric: str | None = None) -> GridPanels:
    """Arrange a grid's values for `tuning.display.plots.grid_heatmap`."""
    layout = _Layout.of(cells, task, metric)
    values = {
        _name(key): [[cell.value(layout.metric) for cell in row] for row in group]
        for key, group in layout.groups.items()
    }
    return GridPanels(layout.labels, [format_lr(lr) for lr in layout.lrs], values)


def _rank(key: tuple[str, str]) -> tuple[int, tuple[str, str]]:
    return (_ORDER.index(key) if key in _ORDER else len(_ORDER), key)


def _name(key: tuple[str, str]) -> str:
    model, head = key
    return f"{model}, {_HEADS.get(head, head)}"


def _coloured(text: str) -> Text:
    """Repeat in colour and weight what the marks already say."""
    styled = Text(text, style="bold" if text[0] in "★☆" else "")
    styled.highlight_words(["▲"], "green")
    styled.highlight_words(["▼"], "red")
    return styled
