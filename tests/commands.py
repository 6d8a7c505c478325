"""Commands that run in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from tuning.cli import app, main
from tuning.config import schema


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells of the one grid that was printed as JSON."""
        (table,) = json.loads(self.out)["tables"]
        return list(table["cells"])


def run(*words: str) -> Finished:
    """Run `chromatune WORDS` as from a shell."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["chromatune", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
    code = exit_.value.code
    return Finished(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


def refusal(*words: str) -> str:
    """Run a command that must reject its input: exit status 2 and one line, which is returned."""
    refused = run(*words)
    assert (refused.status, refused.out) == (2, ""), refused
    (line,) = refused.err.splitlines()
    assert line.startswith("error: ")
    return line


def resolved(*words: str) -> Any:
    """Parse `chromatune WORDS` up to its configuration, and train nothing."""
    seen = []
    resolve = schema.resolve

    def stop(*arguments: Any, **details: Any) -> Any:
        seen.append(resolve(*arguments, **details))
        raise InterruptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "resolve", stop)
        answer = CliRunner().invoke(app, words)
    assert isinstance(answer.exception, InterruptedError), answer.output
    return seen[-1]
