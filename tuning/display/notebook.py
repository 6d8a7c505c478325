"""A progress bar in the output of a notebook's cell, which is replaced in place."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from typing import Self

from tuning.display.heartbeat import Heartbeat

_EVERY_S = 0.5


class NotebookBar:
    """Shows how much is done, and beside it the lines of `state`, while used as a context manager.

    It needs nothing but IPython: rich's own bars need ipywidgets in a notebook.
    """

    def __init__(self, state: Callable[[], Sequence[str]]) -> None:
        self._state = state
        self._done, self._total = 0, 0
        self._shown_at = 0.0
        self._clock = Heartbeat(self._show, 2 * _EVERY_S)

    def __enter__(self) -> Self:
        from IPython.display import HTML, display

        self._html = HTML
        self._output = display(HTML(self._text()), display_id=True)
        self._clock.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._clock.__exit__()
        self._total = self._total or 1  # a bar without a total moves for ever
        self._show()

    def draw(self, done: int, total: int) -> None:
        """Take in how much is done, and show it unless that was just done."""
        self._done, self._total = done, total
        if time.monotonic() - self._shown_at >= _EVERY_S:
            self._show()

    def _show(self) -> None:
        self._clock.rest()
        self._shown_at = time.monotonic()
        self._output.update(self._html(self._text()))

    def _text(self) -> str:
        share = f'value="{self._done}" max="{self._total}"' if self._total else ""
        lines = "<br>".join(map(html.escape, self._state()))
        return f"<div><progress {share}></progress><br>{lines}</div>"
