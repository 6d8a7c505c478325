"""Where output goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Iterator, Sequence
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


@contextlib.contextmanager
def results_alone() -> Iterator[None]:
    """Let nothing but `results` write to stdout: what the user's own code prints goes to stderr."""
    Console.__init__(results, file=sys.stdout, highlight=False)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        Console.__init__(results, highlight=False)


def print_document(document: Any) -> None:
    """Print JSON as a result."""
    print(json.dumps(document, indent=2, allow_nan=False), file=results.file)


def show(tables: Sequence[ResultTable], format_: str, promotions: Sequence[Promotion] = ()) -> None:
    """Print results as tables for people, as one JSON document or, of trials, as CSV."""
    if format_ == "csv":
        records = [record for table in tables for record in table.records()]
        names = dict.fromkeys(name for record in records for name in record)
        writer = csv.DictWriter(results.file, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _plain(value) for name, value in each.items()} for each in records)
        return
    if format_ == "json":
        document = {
            "tables": [table.to_json() for table in tables],
            "promotions": [promotion.record() for promotion in promotions],
        }
        print_document(document)
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
