"""Markdown as MLflow's UI shows it in descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tuning.display.formatting import format_value, metric_title


def markdown_rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of these texts."""
    rule = "|:--" * len(heads) + "|"
    return "\n".join([_row(heads), rule, *(_row(row) for row in rows)]) + "\n"


def markdown_links(links: Mapping[str, str]) -> str:
    """Links by title, in one line."""
    return " · ".join(f"[{title}]({address})" for title, address in links.items())


def spaced(table: str) -> str:
    """Pad the cells of tables: the UI sets their columns without any room between."""
    return "\n".join(
        line.replace(" |", "&emsp;|") if line.startswith("| ") else line
        for line in table.splitlines()
    )


def measured(metric: str, value: float) -> str:
    """Write a figure with its name and unit: `validation PSNR 28.84 dB`."""
    name, _, unit = metric_title(metric).partition(", ")
    return f"{name} {format_value(metric, value)} {unit}".strip()


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
