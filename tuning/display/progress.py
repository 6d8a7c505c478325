"""The view of a running launch: a live bar on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from tuning.display.formatting import format_count, format_duration, format_value
from tuning.display.heartbeat import Heartbeat
from tuning.display.notebook import NotebookBar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task
    from rich.text import Text

Status = Literal["waiting", "running", "paused", "done", "pruned", "failed", "diverged"]
ENDED: tuple[Status, ...] = ("done", "pruned", "failed", "diverged")

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass
class _Training:
    """What is known of one training; `reported` once it has reported metrics."""

    name: str
    epochs: int
    status: Status = "waiting"
    epoch: int = 0
    value: float | None = None
    reported: bool = False


class LaunchProgress:
    """Shows a launch on `console` (stderr: stdout is for results) while used as a context manager.

    `trainings` lists (training id, total epochs). On a terminal and in a notebook it draws a bar
    over all epochs, the trials by state, the best result so far and the time left. Elsewhere it
    prints a line when a trial ends, and the state of the launch after `heartbeat_s` seconds without
    a line. Without a console it prints to stderr and needs no rich. `clock` returns seconds.
    Methods may be called from any thread and never raise because of what is reported: a view must
    not end the work it shows.
    """

    def __init__(
        self,
        console: Console | None,
        launch_id: str,
        trainings: Sequence[tuple[str, int]],
        metric: str,
        higher_is_better: bool,
        *,
        heartbeat_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._title = launch_id
        self._trainings = {name: _Training(name, epochs) for name, epochs in trainings}
        self._metric = metric
        self._sign = 1 if higher_is_better else -1
        self._heartbeat = Heartbeat(lambda: self.message(self._line()), heartbeat_s)
        self._clock = clock
        self._started = clock()
        self._timed_epochs = 0
        self._best: tuple[str, int, float] | None = None
        self._lock = threading.RLock()
        self._stack = contextlib.ExitStack()
        self._draw: Callable[[int, int], None] | None = None

    def __enter__(self) -> Self:
        self._started = self._clock()
        console = self._console
        if console is not None and console.is_jupyter:
            self.message(self._title)
            self._draw = self._stack.enter_context(NotebookBar(self.state)).draw
            self._refresh()
        elif console is not None and console.is_terminal and not console.is_dumb_terminal:
            self.message(self._title)
            bar = _bar(console, self.state)
            self._draw = functools.partial(_update, bar)
            self._refresh()
            self._stack.enter_context(bar)
        else:
            epochs = sum(training.epochs for training in self._trainings.values())
            trials = format_count(len(self._trainings), "trial")
            self.message(f"{self._title}: {trials}, {format_count(epochs, 'epoch')}")
            self._stack.enter_context(self._heartbeat)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        if self._draw is None:
            self.message(self._line())
        self._draw = None

    def update(
        self,
        training_id: str,
        epoch: int,
        metrics: Mapping[str, Any],
        status: Status = "running",
    ) -> None:
        """Take in what a trial reports: its epoch (from 1), that epoch's metrics, its state."""
        with self._lock:
            training = self._trainings.get(training_id)
            if training is None:
                _LOG.debug("progress of an unknown training '%s'", training_id)
                return
            before, training.status = training.status, status
            self._advance(training, epoch, metrics)
            self._refresh()
            shown_by_bar = self._draw is not None and status in ("done", "pruned")
            if status in ENDED and before != status and not shown_by_bar:
                self.message(self._ended(training))

    def rename(self, old: str, new: str, epochs: int) -> None:
        """Give a waiting training the name and the number of epochs that it gets only now."""
        with self._lock:
            self._trainings.pop(old, None)
            self._trainings[new] = _Training(new, epochs)

    def message(self, text: str) -> None:
        """Print a line that stays, above the bar if there is one."""
        with self._lock:
            self._heartbeat.rest()
            if self._console is None:
                print(text, file=sys.stderr, flush=True)
            else:
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def live(self) -> dict[str, dict[str, Any]]:
        """Status, epoch and newest value (None without a finite one) of each training that runs, is
        paused or has failed.
        """
        with self._lock:
            return {
                training.name: {
                    "status": training.status,
                    "epoch": training.epoch,
                    "value": _finite(training.value),
                }
                for training in self._trainings.values()
                if training.status in ("running", "paused", "failed")
            }

    def state(self) -> list[str]:
        """Where the launch stands: the time, the trials by state, the best value if there is one.

        Takes no lock, since the bar asks for it while it holds its own.
        """
        done, total = self._epochs()
        # Rounded down: 100 % is said when all is done.
        percent = math.floor(100 * done / total) if total else 100
        seconds = self._clock() - self._started
        spent = f"{percent} %, {format_duration(seconds)} elapsed"
        if done < total:
            rate = self._timed_epochs / seconds if seconds > 0 else 0.0
            spent += f", {format_duration((total - done) / rate) if rate else '–'} left"
        states = [training.status for training in self._trainings.values()]
        counts = [
            f"{states.count(status)} {status}"
            for status in ("done", "running", "paused", "waiting", "failed", "pruned", "diverged")
            if status in states or status in ("done", "running", "waiting", "failed")
        ]
        lines = [spent, f"{format_count(len(states), 'trial')}: {', '.join(counts)}"]
        if self._best:
            name, epoch, value = self._best
            shown = format_value(self._metric, value)
            lines.append(f"best: {name} at epoch {epoch}, {self._metric} {shown}")
        return lines

    def _line(self) -> str:
        spent, *others = self.state()
        return f"{spent}: {'; '.join(others)}"

    def _advance(self, training: _Training, epoch: int, metrics: Mapping[str, Any]) -> None:
        if metrics and epoch > training.epoch:
            # The first report of a resumed training says nothing of the epochs before it.
            self._timed_epochs += epoch - training.epoch if training.reported else 1
        training.reported = training.reported or bool(metrics)
        training.epoch = min(max(epoch, 0), training.epochs)
        value = metrics.get(self._metric)
        if not isinstance(value, (int, float)):
            return
        training.value = float(value)
        rival = -math.inf if self._best is None else self._sign * self._best[2]
        if math.isfinite(value) and self._sign * value > rival:
            self._best = (training.name, training.epoch, training.value)

    def _epochs(self) -> tuple[int, int]:
        """Epochs trained and epochs in all; a training that has ended has none left."""
        trainings = self._trainings.values()
        done = sum(training.epoch for training in trainings)
        left = sum(t.epochs - t.epoch for t in trainings if t.status not in ENDED)
        return done, done + left

    def _ended(self, training: _Training) -> str:
        line = f"{training.name} {training.status}: epoch {training.epoch}/{training.epochs}"
        if training.value is not None:
            line += f", {self._metric} {format_value(self._metric, training.value)}"
        ended = sum(other.status in ENDED for other in self._trainings.values())
        return f"{line} ({ended} of {format_count(len(self._trainings), 'trial')} ended)"

    def _refresh(self) -> None:
        if self._draw is not None:
            self._draw(*self._epochs())


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _bar(console: Console, state: Callable[[], Sequence[str]]) -> Progress:
    """A bar over all epochs, and beside it the state as it is when the bar is drawn."""
    from rich import progress, table, text

    class StateColumn(progress.ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:  # noqa: ARG002
            return text.Text("\n".join(state()))

    columns = (progress.BarColumn(20), StateColumn(table.Column(ratio=1)))
    bar = progress.Progress(*columns, console=console, redirect_stdout=False)
    bar.add_task("", total=None)
    return bar


def _update(bar: Progress, done: int, total: int) -> None:
    bar.update(bar.task_ids[0], completed=done, total=total)
