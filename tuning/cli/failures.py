"""What ends a command: one line on stderr and an exit status, whatever was raised."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.text import Text

from tuning.cli.console import INTERRUPTED, UNEXPECTED, WRONG_INPUT, log
from tuning.cli.launched import launch_folder
from tuning.errors import ChromatuneError
from tuning.utils.redaction import redact

# Set to anything, it shows tracebacks on stderr.
_TRACEBACK = "CHROMATUNE_TRACEBACK"
# Of the system rather than of this program.
_SYSTEM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_LONGEST = 300  # characters of an unexpected error


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn every exception into one line on stderr and an exit status.

    That is 2 for an error that a user can cause, 130 for Ctrl-C and 70 for any other, whose
    traceback goes to a file.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # what cannot be written is an error of this command
    except ChromatuneError as error:
        _exit_with(str(error))
    except typer.TyperException as error:
        _exit_with(_usage(error))
    except (KeyboardInterrupt, typer.Abort):
        log.print("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _drop_results()  # the reader of a pipe, such as `| head`, has gone
        sys.exit(WRONG_INPUT)
    except Exception as error:
        if _is_of_user(error):
            _exit_with(str(error))
        if fault := _fault_of_user_code(error):
            _exit_with(fault)
        if isinstance(error, OSError) and error.errno in _SYSTEM:
            _drop_results()
            where = f"{error.filename}: " if error.filename else ""
            _exit_with(f"{where}{error.strerror}: check permissions and free space")
        if name := _wrong_variable(error):
            _exit_with(f"the environment variable {name} is wrong: {error}; `unset {name}`")
        _exit_unexpected(error)


def hide_secrets_in_tracebacks() -> None:
    """Let no traceback show a password, such as that of a tracking URI."""

    def show_exception(*args: Any) -> None:
        print(redact("".join(traceback.format_exception(*args))), end="", file=sys.stderr)

    sys.excepthook = show_exception
    threading.excepthook = lambda args: show_exception(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def _is_of_user(error: Exception) -> bool:
    # Looked up, as importing their packages takes seconds: what was raised is imported.
    named = (("data_prep", "DataError"), ("models", "ModelError"))
    kinds = [getattr(sys.modules.get(module), name, None) for module, name in named]
    return isinstance(error, tuple(kind for kind in kinds if kind is not None))


def _fault_of_user_code(error: Exception) -> str | None:
    """File and line, if a file that was imported with `--import` has raised the error."""
    models = sys.modules.get("models")
    return None if models is None else models.fault_of(error)


def _wrong_variable(error: Exception) -> str | None:
    """The variable of the environment that a library could not parse, which its error names."""
    named = re.findall(r"[A-Z]+_\w+", str(error)) if isinstance(error, ValueError) else ()
    return next((name for name in named if name in os.environ), None)


def _usage(error: typer.TyperException) -> str:
    """One line for a wrong option or argument, with where to read more."""
    message = " ".join(getattr(error, "format_message", error.__str__)().split())
    context = getattr(error, "ctx", None)
    more = f" (see `{context.command_path} --help`)" if context is not None else ""
    return f"{message.rstrip('.')}{more}"


def _exit_unexpected(error: Exception) -> NoReturn:
    """Keep the traceback in a file that only this user can read, and name it."""
    summary = traceback.format_exception_only(error)[-1].strip()[:_LONGEST]
    text = redact("".join(traceback.format_exception(error)))
    kept = f"{_TRACEBACK}=1 shows the traceback"
    for folder in (launch_folder(), None):
        with contextlib.suppress(OSError):
            descriptor, path = tempfile.mkstemp(".txt", "chromatune-error-", folder)
            os.close(descriptor)
            Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")
            kept = f"the traceback is in {path}"
            break
    _exit_with(
        f"unexpected {summary}; {kept}; `chromatune doctor` looks for damaged launches", UNEXPECTED
    )


def _exit_with(message: str, status: int = WRONG_INPUT) -> NoReturn:
    """Print one line, whatever file names and keys are quoted in it, and exit."""
    if os.environ.get(_TRACEBACK):
        print(redact(traceback.format_exc()), end="", file=sys.stderr)
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(message.split()))
    log.print(Text.assemble(("error:", "bold red"), f" {redact(line)}"), soft_wrap=True)
    sys.exit(status)


def _drop_results() -> None:
    """Forget what stdout still holds: Python would fail again to write it at the exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
