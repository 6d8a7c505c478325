"""Where output goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from data_prep import DataError
from models import ModelError
from tuning.errors import ChromatuneError

if TYPE_CHECKING:
    from tuning.promotion import Promotion
    from tuning.result_tables import ResultTable

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
    except typer.TyperException as error:
        log.print(f"[bold red]error:[/] {_escape(_usage(error))}", soft_wrap=True)
        sys.exit(WRONG_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        log.print("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe such as `| head` has gone: there is nobody left to tell.
        sys.stderr.close()
        sys.exit(WRONG_INPUT)


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
        results.print(promotion.sentence, soft_wrap=True, markup=False)


def _usage(error: typer.TyperException) -> str:
    """What typer has to say of a wrong option or argument, in one line, and where to read more."""
    message = " ".join(getattr(error, "format_message", error.__str__)().split())
    context = getattr(error, "ctx", None)
    more = f" (see `{context.command_path} --help`)" if context is not None else ""
    return f"{message.replace('Value error, ', '').rstrip('.')}{more}"


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
