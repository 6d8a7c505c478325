"""Where output goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    """Print results as tables for people or as one JSON document for programs."""
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


def print_line(line: str, console: Console = results) -> None:
    """Print text that may hold brackets, without breaking it."""
    console.print(line, soft_wrap=True, markup=False)


def log_line(line: str) -> None:
    """Print a message, which is no result."""
    print_line(line, log)
