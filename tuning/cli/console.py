"""Where output goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from tuning.errors import ChromatuneError
from tuning.utils.redaction import redact

if TYPE_CHECKING:
    from tuning.display.comparison_table import ResultTable
    from tuning.tracking.registry.promotion import Promotion

results = Console(highlight=False)
log = Console(stderr=True, highlight=False)

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130  # as a shell reports Ctrl-C


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn errors that a user can cause into one line on stderr and exit status 2."""
    try:
        yield
    except ChromatuneError as error:
        _exit_with(str(error))
    except typer.TyperException as error:
        _exit_with(_usage(error))
    except (KeyboardInterrupt, typer.Abort):
        log.print("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe, such as `| head`, has gone
        sys.exit(WRONG_INPUT)
    except Exception as error:
        # Imported here because their packages import NumPy and PyTorch, which takes seconds.
        from data_prep import DataError
        from models import ModelError

        if not isinstance(error, DataError | ModelError):
            raise
        _exit_with(str(error))


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


def hide_secrets_in_tracebacks() -> None:
    """Let no traceback show a password, such as that of a tracking URI."""

    def show_exception(*args: Any) -> None:
        print(redact("".join(traceback.format_exception(*args))), end="", file=sys.stderr)

    sys.excepthook = show_exception
    threading.excepthook = lambda args: show_exception(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def _usage(error: typer.TyperException) -> str:
    """One line for a wrong option or argument, with where to read more."""
    message = " ".join(getattr(error, "format_message", error.__str__)().split())
    context = getattr(error, "ctx", None)
    more = f" (see `{context.command_path} --help`)" if context is not None else ""
    return f"{message.rstrip('.')}{more}"


def _exit_with(message: str) -> NoReturn:
    """Print one line, whatever file names and keys are quoted in it, and exit."""
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(message.split()))
    log.print(Text.assemble(("error:", "bold red"), f" {redact(line)}"), soft_wrap=True)
    sys.exit(WRONG_INPUT)
