from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from tuning.display.progress import LaunchProgress
from tuning.display.progress_estimate import TrainingPace, fraction_done, seconds_left

TRAININGS = [("cnn1-relu-lr1e-3", 10), ("cnn2-relu-lr1e-3", 10), ("cnn3-relu-lr1e-3", 20)]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def make(
    *, terminal: bool, trainings: list[tuple[str, int]] = TRAININGS, height: int = 25
) -> tuple[LaunchProgress, Console, Clock]:
    console = Console(
        file=io.StringIO(), force_terminal=terminal, width=80, height=height, color_system=None
    )
    clock = Clock()
    progress = LaunchProgress(
        console, "grid-1", trainings, "val_mse", higher_is_better=False, clock=clock
    )
    return progress, console, clock


def written(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def drawn(progress: LaunchProgress, console: Console) -> list[str]:
    with console.capture() as capture:
        console.print(progress.render())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_live_view_says_where_the_launch_stands() -> None:
    progress, console, clock = make(terminal=True)
    first, second, third = (name for name, _ in TRAININGS)
    progress.update(first, 0, {}, status="running")
    for epoch in range(1, 6):
        progress.update(first, epoch, {"train_loss": 0.1 / epoch, "seconds": 4.0})
    progress.update(first, 5, {"val_mse": 2e-4})
    progress.update(second, 10, {"val_mse": 1e-4}, status="done")
    clock.now += 65
    lines = drawn(progress, console)
    assert lines[0] == "grid-1"
    # All epochs weigh 4 s: 15 of 40 are behind; 5 + 20 are ahead of the one running trial.
    assert lines[1].endswith("37 %  1:05 elapsed, 1:40 left")
    assert lines[2] == "3 trials: 1 done, 1 running, 1 waiting, 0 failed"
    assert lines[3] == f"best so far: {second} at epoch 10, val_mse 1.00e-4"
    assert lines[4] == f"  {first}  epoch 5/10  train_loss 2.00e-2  val_mse 2.00e-4"
    assert len(lines) == 5
    progress.update(third, 3, {}, status="failed")
    assert drawn(progress, console)[2] == "3 trials: 1 done, 1 running, 0 waiting, 1 failed"


def test_time_left_is_unknown_until_an_epoch_was_timed() -> None:
    progress, console, _ = make(terminal=True)
    assert drawn(progress, console)[1].endswith("0 %  0 s elapsed, – left")
    progress.update("cnn1-relu-lr1e-3", 0, {})
    assert drawn(progress, console)[1].endswith("– left")
    progress.update("cnn1-relu-lr1e-3", 1, {"seconds": 2.0})
    assert drawn(progress, console)[1].endswith("1:18 left")


def test_more_running_trials_than_lines() -> None:
    many = [(f"trial-{i}", 10) for i in range(30)]
    progress, console, _ = make(terminal=True, trainings=many, height=12)
    for name, _epochs in many:
        progress.update(name, 1, {})
    lines = drawn(progress, console)
    assert len(lines) < 12
    assert lines[-1] == "  … and 24 more running"


def test_live_view_goes_to_its_console_and_ends_cleanly(capsys: pytest.CaptureFixture[str]) -> None:
    progress, console, _ = make(terminal=True)
    with progress:
        print("a result")
        progress.message("node [3] joined")
        progress.update("cnn1-relu-lr1e-3", 4, {"val_mse": math.nan}, status="diverged")
    text = "\n".join(written(console))
    assert "node [3] joined" in text
    assert "cnn1-relu-lr1e-3 diverged: epoch 4/10, val_mse nan (1 of 3 trials ended)" in text
    assert "3 trials: 0 done, 0 running, 2 waiting, 0 failed, 1 diverged" in text
    assert text.endswith("\x1b[?25h")  # the cursor is back
    assert capsys.readouterr().out == "a result\n"


def test_plain_lines_where_there_is_no_terminal() -> None:
    progress, console, clock = make(terminal=False)
    with progress:
        for epoch in range(1, 11):
            clock.now += 7
            for name in ("cnn1-relu-lr1e-3", "cnn2-relu-lr1e-3"):
                progress.update(name, epoch, {"seconds": 7.0, "val_mse": 1e-3 / epoch})
        progress.update("cnn1-relu-lr1e-3", 10, {}, status="done")
        progress.update("cnn1-relu-lr1e-3", 10, {}, status="done")
        progress.update("cnn2-relu-lr1e-3", 10, {}, status="failed")
    best = "best cnn1-relu-lr1e-3 at epoch"
    running = "3 trials: 0 done, 2 running, 1 waiting, 0 failed"
    assert written(console) == [
        "grid-1: 3 trials, 40 epochs",
        # At 35 s, 5 + 4 epochs are behind. Shared by two trials, the 31 ahead take 1:49 at 7 s
        # each, but the last trial's 20 alone take longer.
        f"22 %, 35 s elapsed, 2:20 left: {running}; {best} 5, val_mse 2.00e-4",
        f"47 %, 1:10 elapsed, 2:20 left: {running}; {best} 10, val_mse 1.00e-4",
        "cnn1-relu-lr1e-3 done: epoch 10/10, val_mse 1.00e-4 (1 of 3 trials ended)",
        "cnn2-relu-lr1e-3 failed: epoch 10/10, val_mse 1.00e-4 (2 of 3 trials ended)",
        f"50 %, 1:10 elapsed, – left: 3 trials: 1 done, 0 running, 1 waiting, 1 failed; {best} 10, "
        "val_mse 1.00e-4",
    ]


def test_odd_input_ends_nothing() -> None:
    progress, console, _ = make(terminal=False)
    with progress:
        progress.update("no-such-trial", 1, {"val_mse": 1e-9})
        progress.update("cnn1-relu-lr1e-3", 10**9, {"val_mse": math.inf, "train_loss": math.nan})
        progress.update("cnn2-relu-lr1e-3", -3, {"val_mse": None, "seconds": math.nan, "x": "y"})
        progress.message("[/red] 100 %")
    text = "\n".join(written(console))
    assert "[/red] 100 %" in text
    assert "best" not in text
    empty, console, _ = make(terminal=True, trainings=[])
    with empty:
        assert drawn(empty, console)[2] == "0 trials: 0 done, 0 running, 0 waiting, 0 failed"


def pace(epochs: int, *reports: tuple[int, float], status: str = "running") -> TrainingPace:
    one = TrainingPace("x", epochs, status=status)  # type: ignore[arg-type]
    for epoch, seconds in reports:
        one.advance(epoch, {"seconds": seconds}, 0.0)
    return one


def test_slow_trainings_weigh_more() -> None:
    fast, slow = pace(10, (10, 1.0), status="done"), pace(10, (1, 9.0))
    assert fraction_done([fast, slow]) == pytest.approx((10 + 9) / (10 + 90))
    assert seconds_left([fast, slow]) == pytest.approx(81)


def test_work_is_shared_by_those_that_run() -> None:
    running = [pace(10, (5, 2.0)), pace(10, (5, 4.0))]
    waiting = [pace(10, status="waiting"), pace(10, status="waiting")]
    # 10 + 20 s of their own, and two trainings of 10 epochs at the mean of 3 s, on two workers.
    assert seconds_left(running + waiting) == pytest.approx((10 + 20 + 60) / 2)
    assert seconds_left(waiting) is None


def test_failed_trainings_have_no_work_left() -> None:
    assert fraction_done([pace(10, (3, 1.0), status="failed"), pace(10, status="done")]) == 1
    assert fraction_done([]) == 0


def test_without_seconds_the_clock_times_the_epochs() -> None:
    one = TrainingPace("x", 100, status="running")
    one.advance(0, {}, 0.0)
    one.advance(41, {"train_loss": 1.0}, 50.0)  # resumed at epoch 40: says nothing of the pace
    assert one.seconds_per_epoch is None
    one.advance(51, {"train_loss": 1.0}, 70.0)
    assert one.seconds_per_epoch == pytest.approx(2.0)
    one.advance(45, {"train_loss": 1.0}, 100.0)  # back to a checkpoint
    assert one.seconds_per_epoch == pytest.approx(2.0)
    assert one.epochs_left == 55


def test_a_training_gets_its_name_when_it_is_known() -> None:
    progress, console, _ = make(terminal=False, trainings=[("trial 1", 20), ("trial 2", 20)])
    progress.rename("trial 1", "0000-unet-tanh", 10)
    with progress:
        progress.update("0000-unet-tanh", 5, {"val_mse": 2e-4, "seconds": 1.0})
        progress.update("0000-unet-tanh", 5, {}, status="pruned")
    assert written(console)[1:] == [
        "0000-unet-tanh pruned: epoch 5/10, val_mse 2.00e-4 (1 of 2 trials ended)",
        "20 %, 0 s elapsed, – left: 2 trials: 0 done, 0 running, 1 waiting, 0 failed, 1 pruned; "
        "best 0000-unet-tanh at epoch 5, val_mse 2.00e-4",
    ]
