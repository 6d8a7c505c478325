"""The view of a running launch: a live one on a terminal, plain lines anywhere else."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuning.display.formatting import format_count, format_duration, format_value
from tuning.display.progress_estimate import (
    ENDED,
    Status,
    TrainingPace,
    fraction_done,
    seconds_left,
)

_LOG = logging.getLogger(__name__)
_STATUS_LINE_EVERY_S = 30.0


class LaunchProgress:
    """Shows a launch on `console` (stderr: stdout is for results) while used as a context manager.

    `trainings` lists (training id, total epochs). On a terminal it draws a bar over all epochs, the
    trials by state, the best result so far, the time, and a line per running trial. Elsewhere it
    prints a line when a trial ends and a status line at most every 30 seconds. `clock` returns
    seconds. Methods may be called from any thread and never raise over what they are told: a view
    must not end the work it shows.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        trainings: Sequence[tuple[str, int]],
        metric: str,
        higher_is_better: bool,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._title = title
        self._metric = metric
        self._sign = 1 if higher_is_better else -1
        self._clock = clock
        self._started = self._last_line = clock()
        self._trainings = {name: TrainingPace(name, epochs) for name, epochs in trainings}
        self._best: tuple[str, int, float] | None = None
        self._lock = threading.RLock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._started = self._last_line = self._clock()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self.render,
                refresh_per_second=4,
                redirect_stdout=False,
            )
            self._live.start()
        else:
            epochs = sum(one.total_epochs for one in self._trainings.values())
            trials = format_count(len(self._trainings), "trial")
            self._print(f"{self._title}: {trials}, {format_count(epochs, 'epoch')}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        else:
            self._print(self._status_line())

    def update(
        self,
        training_id: str,
        epoch: int,
        metrics: Mapping[str, Any],
        status: Status = "running",
    ) -> None:
        """Take in what a trial reports: its epoch (from 1), that epoch's metrics, its state.

        A `seconds` among the metrics is the epoch's duration, which the time left is taken from.
        """
        with self._lock:
            training = self._trainings.get(training_id)
            if training is None:
                _LOG.debug("progress of an unknown training '%s'", training_id)
                return
            was = training.status
            training.status = status
            training.advance(epoch, metrics, self._clock())
            self._keep_best(training, metrics.get(self._metric))
            if status in ENDED and was != status:
                self._tell_ended(training)
            elif self._live is None and self._clock() - self._last_line >= _STATUS_LINE_EVERY_S:
                self._print(self._status_line())

    def rename(self, training_id: str, to: str, epochs: int) -> None:
        """Give a training that waits the name and the number of epochs that it gets only now."""
        with self._lock:
            self._trainings = {
                (to if name == training_id else name): (
                    TrainingPace(to, epochs) if name == training_id else one
                )
                for name, one in self._trainings.items()
            }

    def message(self, text: str) -> None:
        """Print a line that stays, above the live view if there is one."""
        with self._lock:
            self._print(text)

    def render(self) -> RenderableType:
        """Draw the live view as it stands."""
        with self._lock:
            head = Table.grid(padding=(0, 1), expand=True)
            head.add_column(ratio=1)
            head.add_column(no_wrap=True)
            share = fraction_done(self._trainings.values())
            head.add_row(
                ProgressBar(1.0, share, complete_style="cyan", finished_style="green"),
                f"{self._percent()}  {self._time()}",
            )
            lines: list[RenderableType] = [
                Text(self._title, style="bold"),
                head,
                Text(self._counts()),
            ]
            if self._best:
                lines.append(Text(f"best so far: {self._best_so_far()}"))
            running = [one for one in self._trainings.values() if one.status == "running"]
            room = max(1, self._console.height - len(lines) - 3)
            lines.append(self._running_table(running[:room]))
            if len(running) > room:
                lines.append(Text(f"  … and {len(running) - room} more running", style="dim"))
            return Group(*lines)

    def _running_table(self, running: Sequence[TrainingPace]) -> Table:
        table = Table.grid(padding=(0, 2))
        for justify in ("left", "right", "left", "left"):
            table.add_column(justify=justify, no_wrap=True)
        for one in running:
            shown = {name: one.metrics.get(name) for name in ("train_loss", self._metric)}
            values = [
                "" if value is None else f"{name} {format_value(name, value)}"
                for name, value in shown.items()
            ]
            table.add_row(f"  {one.training_id}", f"epoch {one.epoch}/{one.total_epochs}", *values)
        return table

    def _tell_ended(self, training: TrainingPace) -> None:
        if self._live is not None and training.status in ("done", "pruned"):
            return  # the counts show it
        epochs = f"epoch {training.epoch}/{training.total_epochs}"
        line = f"{training.training_id} {training.status}: {epochs}"
        value = training.metrics.get(self._metric)
        if value is not None:
            line += f", {self._metric} {format_value(self._metric, value)}"
        ended = sum(one.status in ENDED for one in self._trainings.values())
        trials = format_count(len(self._trainings), "trial")
        self._print(f"{line} ({ended} of {trials} ended)")

    def _keep_best(self, training: TrainingPace, value: Any) -> None:
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            return
        if self._best is None or self._sign * value > self._sign * self._best[2]:
            self._best = (training.training_id, training.epoch, float(value))

    def _status_line(self) -> str:
        best = f"; best {self._best_so_far()}" if self._best else ""
        return f"{self._percent()}, {self._time()}: {self._counts()}{best}"

    def _percent(self) -> str:
        # Rounded down: 100 % is said when all is done.
        return f"{math.floor(100 * fraction_done(self._trainings.values()))} %"

    def _time(self) -> str:
        elapsed = f"{format_duration(self._clock() - self._started)} elapsed"
        if all(one.status in ENDED for one in self._trainings.values()):
            return elapsed
        left = seconds_left(self._trainings.values())
        return f"{elapsed}, {'–' if left is None else format_duration(left)} left"

    def _counts(self) -> str:
        states = [one.status for one in self._trainings.values()]
        parts = [
            f"{states.count(state)} {state}" for state in ("done", "running", "waiting", "failed")
        ]
        parts += [
            f"{states.count(state)} {state}" for state in ("pruned", "diverged") if state in states
        ]
        return f"{format_count(len(states), 'trial')}: {', '.join(parts)}"

    def _best_so_far(self) -> str:
        assert self._best is not None
        training_id, epoch, value = self._best
        return f"{training_id} at epoch {epoch}, {self._metric} {format_value(self._metric, value)}"

    def _print(self, line: str) -> None:
        self._last_line = self._clock()
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
