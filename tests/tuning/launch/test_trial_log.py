"""What trials print and raise is in files of the launch folder."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tuning.launch.conftest import Trials
from tuning.launch import trial, trial_log
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.launch.trial_log import TrialLog, logs_of

Small = Callable[..., Training]


def test_a_trial_that_prints_leaves_a_log_of_each_attempt(
    judged: Trials,
    make_small: Small,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    training, fit = make_small(2, 4), trial.fit
    name = training.training_id

    def chatty(*arguments: Any, **options: Any) -> Any:
        print("resumed" if options["state"] else "begun")
        for result in fit(*arguments, **options):
            print("epoch", result.record["epoch"], file=sys.stderr)
            yield result
            if result.record["epoch"] == 2 and not options["state"]:
                raise ValueError("of the user")

    def driver(_: Any) -> None:
        print("a word of the driver")
        texts.append(log(1))

    def log(attempt: int) -> str:
        path = judged.folder / name / f"log-{attempt}.txt"
        return path.read_text() if path.exists() else ""

    texts: list[str] = []
    monkeypatch.setattr(trial, "fit", chatty)
    judged.on_report = driver
    with pytest.raises(ValueError, match="of the user"):
        judged.run(training)
    assert texts[-1] == "begun\nepoch 1\nepoch 2\n"  # with the report of the second epoch's cell
    assert log(1).startswith("begun\nepoch 1\nepoch 2\nTraceback (most recent call last):\n")
    assert log(1).endswith("ValueError: of the user\n")
    judged.run(training, 2, tuple(f"{name}/{path.name}" for path in judged.folder.glob("*/check*")))
    assert log(2) == "resumed\nepoch 3\nepoch 4\n"
    assert logs_of(judged.storage, name) == [f"{name}/log-1.txt", f"{name}/log-2.txt"]
    shown = capsys.readouterr()
    assert shown.out.splitlines().count("a word of the driver") == len(texts)
    assert shown.err == "".join(f"epoch {epoch}\n" for epoch in (1, 2, 3, 4))


def test_a_silent_trial_leaves_none(trials: Trials, make_small: Small) -> None:
    training = make_small(1)
    trials.run(training)
    assert logs_of(trials.storage, training.training_id) == []


def test_only_the_own_thread_is_copied_and_secrets_are_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "hunter2-hunter2")
    log = TrialLog(LaunchStorage(tmp_path), "log-1.txt")
    with log.captured():
        other = threading.Thread(target=print, args=["of another thread"])
        other.start()
        other.join()
        print("hunter2-hunter2")
        print("careful", file=sys.stderr)
        with log.paused():
            print("not this")
        assert not sys.stdout.isatty()
        assert not (tmp_path / "log-1.txt").exists()
        log.save(if_due=True)
        print("later")
        log.save(if_due=True)  # not yet due again
        assert "later" not in (tmp_path / "log-1.txt").read_text()
    assert (tmp_path / "log-1.txt").read_text().splitlines() == ["***", "careful", "later"]
    assert "of another thread\n" in capsys.readouterr().out
    print("after")
    assert "after" not in (tmp_path / "log-1.txt").read_text()


def test_of_an_endless_text_the_end_is_kept_and_a_full_disk_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_log, "_LONGEST", 100)
    storage = LaunchStorage(tmp_path)
    with contextlib.suppress(SystemExit), TrialLog(storage, "log-1.txt").captured():
        for number in range(1000):
            print(f"{number:09}")
        raise SystemExit
    head, *lines = (tmp_path / "log-1.txt").read_text().splitlines()
    left_out = int(head.removeprefix("[").removesuffix(" characters left out]"))
    assert left_out + sum(len(line) + 1 for line in lines) == 10_000
    assert lines[-1] == "000000999"
    assert 10 <= len(lines) <= 20

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LaunchStorage, "write_text", full)
    with TrialLog(storage, "log-2.txt").captured():
        print("lost")
