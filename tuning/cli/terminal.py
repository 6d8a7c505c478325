"""The terminal that a command writes to: it may lack characters, and it may close."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
from typing import Any

# Stand-ins for what output that is not UTF-8 lacks.
_ASCII = {
    **{"★": "*", "☆": "+", "▲": "^", "▼": "v", "✗": "x", "×": "x", "·": "-", "–": "-", "—": "-"},
    **{"−": "-", "…": "...", "→": "->", "±": "+/-", "≤": "<=", "≥": ">=", "─": "-", "━": "-"},
    **{"│": "|", "┃": "|", "╸": "-", "╺": "-"},
}
_CORNERS = range(0x2500, 0x2580)  # what else frames are drawn with


def prepare_streams() -> None:
    """Let stdout and stderr write any text, and ignore a reader of stderr that has gone.

    A character that the encoding lacks is replaced by a similar one, else by an escape such as
    `\\u4e2d`. Results that cannot be written remain an error.
    """
    codecs.register_error("chromatune", _stand_in)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        raw = _Lasting(sys.stderr.fileno(), "w", closefd=False)
        encoding = sys.stderr.encoding
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), encoding, line_buffering=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="chromatune")


def stop_on_hangup() -> None:
    """Handle a closed terminal like a first Ctrl-C; under nohup it stays ignored."""
    if signal.getsignal(signal.SIGHUP) != signal.SIG_DFL:
        return
    terminals = [descriptor for descriptor in range(3) if os.isatty(descriptor)]

    def hang_up(*_: Any) -> None:
        # The kernel and the shell both send it, and a second Ctrl-C would stop at once.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in terminals:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGHUP, hang_up)


class _Lasting(io.FileIO):
    """Drops what cannot be written: a launch must not fail because nobody reads its messages."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(memoryview(data).cast("B"))


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    signs = (
        _ASCII.get(sign, "+" if ord(sign) in _CORNERS else sign)
        for sign in error.object[error.start : error.end]
    )
    return "".join(signs).encode("ascii", "backslashreplace").decode(), error.end
