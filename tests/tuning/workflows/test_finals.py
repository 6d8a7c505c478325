"""The finals of both tasks: which launches are started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tuning.config.schema import TASKS, FinalsLaunchConfig, resolve
from tuning.workflows import finals
from tuning.workflows.run_launch import Session


def test_an_interrupted_launch_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(kind: str, task: str, *_: Any, **__: Any) -> Any:
        started.append((kind, task))
        return SimpleNamespace(is_over=False)

    monkeypatch.setattr(finals, "start_launch", start)
    monkeypatch.setattr(finals, "check_store", lambda _: None)
    monkeypatch.setattr(finals, "open_prepared", lambda *_: SimpleNamespace(size=128))
    config = resolve(FinalsLaunchConfig, flags={"finals.lr": 1e-3, "finals.epochs": 1})
    outcomes = finals.run_finals(TASKS, config, Session(""))
    assert len(list(outcomes)) == 1
    assert started == [("finals", "regression")]
