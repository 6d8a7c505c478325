"""The view of a running launch, on a terminal and in a log file."""

from __future__ import annotations

import io
import math
import time

import pytest
from rich.console import Console

from tuning.display.progress import LaunchProgress
from tuning.display.steps import step_progress

TRAININGS = [("cnn1-relu-lr1e-3", 10), ("cnn2-relu-lr1e-3", 10), ("cnn3-relu-lr1e-3", 20)]
FIRST, SECOND, THIRD = (name for name, _ in TRAININGS)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make(
    *,
    terminal: bool,
    trainings: list[tuple[str, int]] = TRAININGS,
    heartbeat_s: float = 60.0,
) -> tuple[LaunchProgress, Console, Clock]:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
    clock = Clock()
    progress = LaunchProgress(
        *(console, "grid-1", trainings, "val_mse"),
        higher_is_better=False,
        heartbeat_s=heartbeat_s,
        clock=clock,
    )
    return progress, console, clock


def written(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_state_counts_epochs_trials_and_time() -> None:
    progress, _, clock = make(terminal=False)
    assert progress.state() == [
        "0 %, 0 s elapsed, – left",
        "3 trials: 0 done, 0 running, 3 waiting, 0 failed",
    ]
    progress.update(FIRST, 0, {}, status="running")
    for epoch in range(1, 6):
        progress.update(FIRST, epoch, {"train_loss": 0.1 / epoch, "val_mse": 1e-3 / epoch})
    progress.update(SECOND, 10, {"val_mse": 1e-4}, status="done")
    clock.now += 60
    # 15 of 40 epochs are behind. The second was resumed: of its epochs one is known to be of now.
    assert progress.state() == [
        "37 %, 1:00 elapsed, 4:10 left",
        "3 trials: 1 done, 1 running, 1 waiting, 0 failed",
        f"best: {SECOND} at epoch 10, val_mse 1.00e-4",
    ]
    progress.update(THIRD, 3, {}, status="failed")
    assert progress.state()[:2] == [
        "78 %, 1:00 elapsed, 50 s left",  # nothing is left of a training that has failed
        "3 trials: 1 done, 1 running, 0 waiting, 1 failed",
    ]


def test_a_log_has_a_line_for_every_trial_that_ended() -> None:
    progress, console, clock = make(terminal=False)
    with progress:
        for epoch in range(1, 11):
            clock.now += 7
            for name in (FIRST, SECOND):
                progress.update(name, epoch, {"val_mse": 1e-3 / epoch})
        for _ in range(2):
            progress.update(FIRST, 10, {}, status="done")
        progress.update(SECOND, 10, {}, status="failed")
    assert written(console) == [
        "grid-1: 3 trials, 40 epochs",
        f"{FIRST} done: epoch 10/10, val_mse 1.00e-4 (1 of 3 trials ended)",
        f"{SECOND} failed: epoch 10/10, val_mse 1.00e-4 (2 of 3 trials ended)",
        "50 %, 1:10 elapsed, 1:10 left: 3 trials: 1 done, 0 running, 1 waiting, 1 failed; "
        f"best: {FIRST} at epoch 10, val_mse 1.00e-4",
    ]


def test_a_log_shows_that_a_silent_launch_is_alive() -> None:
    progress, console, _ = make(terminal=False, heartbeat_s=0.01)
    with progress:
        deadline = time.monotonic() + 30
        while len(written(console)) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert written(console)[1] == (
        "0 %, 0 s elapsed, – left: 3 trials: 0 done, 0 running, 3 waiting, 0 failed"
    )
    lines = len(written(console))
    time.sleep(0.05)
    assert len(written(console)) == lines


def test_a_log_in_which_something_is_printed_needs_no_further_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("tuning.display.heartbeat.time.monotonic", clock)
    progress, _, _ = make(terminal=False, heartbeat_s=60)
    clock.now += 40
    progress.message("a line")
    assert progress._heartbeat._due == clock.now + 60


def test_steps_have_a_bar_on_a_terminal_and_lines_in_a_log() -> None:
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
        with step_progress(console, every_s=0.01) as progress:
            progress("reading [x]", 0, 0)
            progress("reading [x]", 3, 4)
            deadline = time.monotonic() + 30
            while not terminal and "of 4" not in "".join(written(console)):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        text = "".join(written(console))
        assert ("reading [x]: 3 of 4" in text) != terminal
        assert ("\x1b[" in text) == terminal


def test_a_terminal_has_a_bar_and_lines_for_what_went_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress, console, _ = make(terminal=True)
    with progress:
        print("a result")
        progress.message("node [3] joined")
        progress.update(FIRST, 4, {"val_mse": math.nan}, status="diverged")
        progress.update(SECOND, 10, {"val_mse": 1e-4}, status="done")
    text = " ".join(" ".join(written(console)).split())  # the bar breaks long lines
    assert "node [3] joined" in text
    assert f"{FIRST} diverged: epoch 4/10, val_mse nan (1 of 3 trials ended)" in text
    assert f"{SECOND} done" not in text  # the counts show it
    assert "41 %, 0 s elapsed, – left" in text
    assert "3 trials: 1 done, 0 running, 1 waiting, 0 failed, 1 diverged" in text
    assert f"best: {SECOND} at epoch 10, val_mse 1.00e-4" in text
    assert "━" in text
    assert "\x1b[?25h" in text  # the cursor is back
    assert capsys.readouterr().out == "a result\n"


def test_without_a_console_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with LaunchProgress(None, "grid-1", TRAININGS[:1], "val_mse", False) as progress:
        progress.update(FIRST, 10, {"val_mse": 1e-4}, status="done")
    out, err = capsys.readouterr()
    assert (out, FIRST in err) == ("", True)


def test_odd_reports_end_nothing() -> None:
    progress, console, _ = make(terminal=False)
    with progress:
        progress.update("no-such-trial", 1, {"val_mse": 1e-9})
        progress.update(FIRST, 10**9, {"val_mse": math.inf, "train_loss": math.nan})
        progress.update(SECOND, -3, {"val_mse": None, "seconds": math.nan, "x": "y"})
        progress.message("[/red] 100 %")
    text = "\n".join(written(console))
    assert "[/red] 100 %" in text
    assert "best" not in text
    empty, console, _ = make(terminal=True, trainings=[])
    with empty:
        assert empty.state()[0].startswith("100 %")


def test_a_training_gets_its_name_when_it_is_known() -> None:
    progress, console, _ = make(terminal=False, trainings=[("trial 1", 20), ("trial 2", 20)])
    progress.rename("trial 1", "0000-unet-tanh", 10)
    with progress:
        progress.update("0000-unet-tanh", 5, {"val_mse": 2e-4})
        progress.update("0000-unet-tanh", 5, {}, status="pruned")
    assert written(console)[1:] == [
        "0000-unet-tanh pruned: epoch 5/10, val_mse 2.00e-4 (1 of 2 trials ended)",
        "20 %, 0 s elapsed, – left: 2 trials: 0 done, 0 running, 1 waiting, 0 failed, 1 pruned; "
        "best: 0000-unet-tanh at epoch 5, val_mse 2.00e-4",
    ]
