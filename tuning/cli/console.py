"""Where output goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType

from data_prep import DataError
from models import ModelError
from tuning.errors import ChromatuneError

results = Console(highlight=False)
log = Console(stderr=True, highlight=False)

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130  # as a shell reports Ctrl-C


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn what the user can mend into one line on stderr and exit status 2."""
    try:
        yield
    except (ChromatuneError, DataError, ModelError) as error:
        log.print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True)
        sys.exit(WRONG_INPUT)
    except KeyboardInterrupt:
        log.print("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe such as `| head` has gone: there is nobody left to tell.
        sys.stderr.close()
        sys.exit(WRONG_INPUT)


def show(tables: list[RenderableType], records: Any, format_: str) -> None:
    """Print results as tables for people or as JSON for programs."""
    if format_ == "json":
        print(json.dumps(records, indent=2, allow_nan=False))
        return
    for table in tables:
        results.print(table)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
