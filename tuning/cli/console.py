"""Where output goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from tuning.display.comparison_table import ResultTable
    from tuning.tracking.registry.promotion import Promotion

results = Console(highlight=False)
log = Console(stderr=True, highlight=False)

FAILED = 1
WRONG_INPUT = 2
UNEXPECTED = 70  # an error of the program itself, as in sysexits.h
INTERRUPTED = 130  # as a shell reports Ctrl-C


def show(tables: Sequence[ResultTable], format_: str, promotions: Sequence[Promotion] = ()) -> None:
    """Print results as tables for people, as one JSON document or, of trials, as CSV."""
    if format_ == "csv":
        records = [record for table in tables for record in table.records()]
        names = dict.fromkeys(name for record in records for name in record)
        writer = csv.DictWriter(sys.stdout, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _plain(value) for name, value in each.items()} for each in records)
        return
    if format_ == "json":
        document = {
            "tables": [table.to_json() for table in tables],
            "promotions": [promotion.record() for promotion in promotions],
        }
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    for table in tables:
        results.print()
        results.print(table.rich())
    for promotion in promotions:
        print_line(promotion.sentence)


def _plain(value: Any) -> Any:
    """Text without line breaks and control characters; anything else as it is."""
    from tuning.display.formatting import one_line

    return one_line(value) if isinstance(value, str) else value


def print_line(line: str, console: Console = results) -> None:
    """Print text that may hold brackets, without breaking it."""
    console.print(line, soft_wrap=True, markup=False)


def log_line(line: str) -> None:
    """Print a message, which is no result."""
    print_line(line, log)
