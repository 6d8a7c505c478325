"""Final results: models by metrics, each beside the report and the constant predictor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tuning.display.formatting import format_value, metric_heading
from tuning.display.tables._rows import comparison_mark

# Columns beside a model's name that 80 columns of a terminal hold.
_COLUMNS = 5


@dataclasses.dataclass(frozen=True)
class ResultRow:
    """A model's metrics, beside the published ones and those of the constant predictor."""

    name: str
    measured: Mapping[str, float]
    published: Mapping[str, float] = dataclasses.field(default_factory=dict)
    constant: Mapping[str, float] = dataclasses.field(default_factory=dict)


def result_table(title: str, columns: Sequence[str], rows: Sequence[ResultRow]) -> RenderableType:
    """Lay results out for a terminal: `columns` are metric names, each row up to three lines.

    ▲ and ▼ mark what is better or worse than the report; `*` heads a metric measured its way.
    """
    parts: list[RenderableType] = [Text(title, style="bold")]
    for start in range(0, len(columns), _COLUMNS):
        shown = columns[start : start + _COLUMNS]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("", overflow="fold", min_width=12)
        for metric in shown:
            heading = metric_heading(metric).replace(", ", "\n")
            table.add_column(heading, justify="right", no_wrap=True)
        for row in rows:
            measured, *others = _lines(row, shown)
            table.add_row(Text(measured[0], style="bold"), *measured[1:])
            for label, *values in others:
                table.add_row(f"  {label}", *values, style="dim")
        parts.append(table)
    return Group(*parts, Text(_legend(columns, rows)))


def result_markdown(title: str, columns: Sequence[str], rows: Sequence[ResultRow]) -> str:
    """Write the same table as `result_table` in Markdown."""
    heads = [metric_heading(metric).replace("*", r"\*") for metric in columns]
    lines = [f"**{title}**", "", f"| | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
    for row in rows:
        measured, *others = _lines(row, columns)
        lines.append(f"| **{measured[0]}** | {' | '.join(measured[1:])} |")
        lines.extend(f"| {' | '.join(line)} |" for line in others)
    legend = _legend(columns, rows).replace("*", r"\*")
    return "\n".join([*lines, "", legend]) + "\n"


def _lines(row: ResultRow, columns: Sequence[str]) -> Iterator[list[str]]:
    yield [row.name, *(_measured(row, metric) for metric in columns)]
    for label, values in (("report", row.published), ("constant", row.constant)):
        if values:
            yield [label, *(_number(values, metric) for metric in columns)]


def _measured(row: ResultRow, metric: str) -> str:
    text = _number(row.measured, metric)
    if metric not in row.measured or metric not in row.published:
        return text
    return f"{text} {comparison_mark(metric, row.measured[metric], row.published[metric])}"


def _number(values: Mapping[str, float], metric: str) -> str:
    return format_value(metric, values[metric]) if metric in values else "–"


def _legend(columns: Sequence[str], rows: Sequence[ResultRow]) -> str:
    parts = []
    if any(row.published for row in rows):
        parts.append("▲ better ▼ worse = equal to the report")
    if any(metric.endswith("_as_reported") for metric in columns):
        parts.append("* measured as the report did")
    return "\n".join(parts)
