"""Where output goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from data_prep import DataError
from models import ModelError
from tuning.errors import ChromatuneError
from tuning.utils.redaction import redact

if TYPE_CHECKING:
    from tuning.display.result_tables import ResultTable
    from tuning.tracking.registry.promotion import Promotion

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
        _print_error(str(error))
        sys.exit(WRONG_INPUT)
    except typer.TyperException as error:
        _print_error(_usage(error))
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


def hide_secrets_in_tracebacks() -> None:
    """Let no traceback show a password, such as one in the URL of a store that broke down."""

    def show_exception(*args: Any) -> None:
        print(redact("".join(traceback.format_exception(*args))), end="", file=sys.stderr)

    sys.excepthook = show_exception
    threading.excepthook = lambda args: show_exception(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def _print_error(message: str) -> None:
    """One line, whatever names of files and keys of documents are quoted in it."""
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(message.split()))
    log.print(f"[bold red]error:[/] {_escape(redact(line))}", soft_wrap=True)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
