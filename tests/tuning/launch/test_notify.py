"""What a receiver hears of a launch, and what a launch suffers from its receiver: nothing."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.receiver import Receiver, receiver
from tests.records import leave_cell
from tuning.launch import notify
from tuning.launch.folder import Launch
from tuning.launch.notify import Notifier
from tuning.launch.storage import LaunchStorage
from tuning.launch.tracker import Tracker
from tuning.launch.trainings import make_training
from tuning.training.config import FitConfig

__all__ = ["receiver"]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    training = make_training(FitConfig("cnn1", "relu", 1e-3, milestones=(1, 2, 3, 4)))
    document = {
        **{"launch_id": "grid-1", "kind": "grid", "task": "regression", "dataset": "faces"},
        **{"config": {}, "trainings": [training.to_dict()]},
    }
    return Launch(LaunchStorage(tmp_path), document)


def reach(launch: Launch, notifier: Notifier, epoch: int, mse: float, **more: Any) -> None:
    (training,) = launch.trainings
    cell_id = training.cells[epoch - 1].cell_id
    metrics = {"val_mse": mse}
    leave_cell(launch.storage, training.training_id, cell_id, metrics=metrics, **more)
    notifier.observe(training.training_id, [{"epoch": epoch, "milestone": cell_id}])


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("status", "event"), [("FINISHED", "finished"), ("FAILED", "failed"), ("KILLED", "stopped")]
)
def test_new_best_cells_and_the_end_are_posted(
    status: str, event: str, launch: Launch, receiver: Receiver
) -> None:
    notifier = Notifier(Tracker(), launch, f"http://{receiver.host}/hook?a=b", pytest.fail)
    notifier.start()
    for epoch, mse, count in ((1, 0.5, 1), (2, 0.25, 2), (3, 0.75, 2)):
        reach(launch, notifier, epoch, mse)
        wait_until(lambda count=count: len(receiver.posts) == count)
    reach(launch, notifier, 4, 0.1, outcome="pruned")  # the best of an unfinished trial is none
    assert notifier.close(status) == []
    assert receiver.events == [("best", 0.5), ("best", 0.25), (event, 0.25)]
    path, authorization, document = receiver.posts[-1]
    assert (path, authorization) == ("/hook?a=b", None)
    assert document["text"].startswith(f"grid-1 {event}: 4 of 4 cells, best 2.50e-1 (cnn1-relu-")
    assert (document["launch_id"], document["dataset"]) == ("grid-1", "faces")


def test_a_resumed_launch_knows_its_best(launch: Launch, receiver: Receiver) -> None:
    (training,) = launch.trainings
    first = training.cells[0].cell_id
    leave_cell(launch.storage, training.training_id, first, metrics={"val_mse": 0.25})
    notifier = Notifier(Tracker(), launch, f"http://{receiver.host}/", pytest.fail)
    notifier.start()
    reach(launch, notifier, 2, 0.5)
    notifier.close("FINISHED")
    assert receiver.events == [("finished", 0.25)]


def test_a_receiver_that_is_slow_hears_only_the_last_and_delays_nothing(
    launch: Launch, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_END_WITHIN_S", 0.2)
    receiver.answers.clear()
    notifier = Notifier(Tracker(), launch, f"http://{receiver.host}/", pytest.fail)
    notifier.start()
    reach(launch, notifier, 1, 0.5)
    time.sleep(0.2)  # until that is on its way
    began = time.monotonic()
    for epoch, mse in ((2, 0.25), (3, 0.125)):
        reach(launch, notifier, epoch, mse)
    notifier.close("FINISHED")
    assert time.monotonic() - began < 1
    receiver.answers.set()
    wait_until(lambda: len(receiver.posts) == 3)
    assert receiver.events == [("best", 0.5), ("best", 0.125), ("finished", 0.125)]


@pytest.mark.parametrize("kind", ["away", "an error", "silent"])
def test_a_receiver_that_is_away_costs_one_message_without_secrets(
    kind: str, launch: Launch, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_ANSWER_WITHIN_S", 0.1)
    host = receiver.host
    if kind == "away":
        host = "127.0.0.1:9"
    elif kind == "an error":
        receiver.status = 500
    else:
        receiver.answers.clear()
    said: list[str] = []
    notifier = Notifier(Tracker(), launch, f"http://anna:s%40fe@{host}/secret-hook", said.append)
    notifier.start()
    reach(launch, notifier, 1, 0.5)
    wait_until(lambda: bool(said))
    reach(launch, notifier, 2, 0.25)
    notifier.close("FINISHED")
    (line,) = said
    assert line.startswith(f"cannot notify http://{host}: ")
    assert line.endswith("; the launch goes on")
    assert not any(secret in line for secret in ("anna", "s@fe", "secret-hook"))
    if kind == "an error":
        assert receiver.posts[0][1] == f"Basic {base64.b64encode(b'anna:s@fe').decode()}"
