"""The view of work in steps: a bar on a terminal or in a notebook, a line each minute elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.progress import Progress

from tuning.display.heartbeat import Heartbeat
from tuning.display.notebook import NotebookBar

if TYPE_CHECKING:
    from rich.console import Console


@contextlib.contextmanager
def step_progress(
    console: Console, every_s: float = 60.0
) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that takes a step's name, how much of it is done, and of how much.

    A total of 0 is one that is not known.
    """
    if console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            tasks = {}

            def draw(step: str, done: int, total: int) -> None:
                if step not in tasks:
                    tasks[step] = bar.add_task(step, total=total or None)
                bar.update(tasks[step], completed=done, total=total or None)

            yield draw
        return
    state = "starting"

    def note(step: str, done: int, total: int) -> None:
        nonlocal state
        state = f"{step}: {done}{f' of {total}' if total else ''}"

    def print_state() -> None:
        console.print(state, soft_wrap=True, markup=False)

    if console.is_jupyter:
        with NotebookBar(lambda: [state]) as shown:

            def note_and_draw(step: str, done: int, total: int) -> None:
                note(step, done, total)
                shown.draw(done, total)

            yield note_and_draw
        return
    with Heartbeat(print_state, every_s):
        yield note
