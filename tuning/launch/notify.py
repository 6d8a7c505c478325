"""Posts to a URL when a launch finds a new best cell, and when it ends."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import queue
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from tuning.display.formatting import with_unit
from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.launch.overview import LaunchState, read_state
from tuning.launch.records import read_cell
from tuning.launch.tracker import Tracker
from tuning.launch.trial_state import Best, best_of, metric_of

_ANSWER_WITHIN_S = 5.0
# How long the end of a launch waits for its own notification.
_END_WITHIN_S = 10.0
_END_AT_ONCE_S = 2.0
_EVENTS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped"}


class _Cell(NamedTuple):
    training_id: str
    cell_id: str


class Notifier(Tracker):
    """Informs `tracker` of a launch's trials, and posts a small JSON document to `url`.

    That happens in a thread of its own: a receiver that is slow or away costs a message to `log`.
    User name and password in the URL are sent as a header. Of new best cells that come while it
    waits for an answer, only the last is posted.
    """

    def __init__(
        self, tracker: Tracker, launch: Launch, url: str, log: Callable[[str], None]
    ) -> None:
        self._tracker = tracker
        self._launch = launch
        self._url = url
        self._log = log
        self._events: queue.SimpleQueue[_Cell | str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
        self._best: Best | None = None
        self._has_failed = False
        self._end_within_s = _END_WITHIN_S

    @property
    def delivery_timeout_s(self) -> float:
        return self._tracker.delivery_timeout_s

    @delivery_timeout_s.setter
    def delivery_timeout_s(self, seconds: float) -> None:
        # Only a second Ctrl-C changes it.
        self._tracker.delivery_timeout_s = seconds
        self._end_within_s = _END_AT_ONCE_S

    def start(self) -> None:
        self._tracker.start()
        with contextlib.suppress(OSError, ChromatuneError):
            self._best = self._state().best
        self._thread.start()

    def observe(self, training_id: str, records: Sequence[Mapping[str, Any]]) -> None:
        self._tracker.observe(training_id, records)
        for record in records:
            if "milestone" in record:
                self._events.put(_Cell(training_id, record["milestone"]))

    def training_ended(self, training_id: str, outcome: str, message: str) -> None:
        self._tracker.training_ended(training_id, outcome, message)

    def close(self, status: str) -> list[str]:
        undelivered = self._tracker.close(status)
        self._events.put(_EVENTS[status])
        self._thread.join(self._end_within_s)
        return undelivered

    def _work(self) -> None:
        end = None
        while end is None:
            events = [self._events.get()]
            while not self._events.empty():
                events.append(self._events.get())
            cells = [event for event in events if isinstance(event, _Cell)]
            end = next((event for event in events if isinstance(event, str)), None)
            with contextlib.suppress(OSError, ChromatuneError):  # the launch folder is away
                if self._improves(cells):
                    self._post("best")
                if end is not None:
                    self._post(end)

    def _improves(self, cells: Sequence[_Cell]) -> bool:
        """Whether one of the cells is better than all before, which it becomes."""
        metric, maximize = metric_of(self._launch.document)
        found = [] if self._best is None else [self._best]
        for cell in cells:
            record = read_cell(self._launch.storage, cell.training_id, cell.cell_id)
            if record is not None and record.outcome == "finished" and metric in record.values:
                found.append(Best(cell.cell_id, record.values[metric]))
        before, self._best = self._best, best_of(found, maximize=maximize)
        return self._best != before

    def _post(self, event: str) -> None:
        try:
            post(self._url, _message(event, self._state(), self._best))
        except (OSError, ValueError) as error:
            if not self._has_failed:
                reason = getattr(error, "reason", None) or error
                self._log(f"cannot notify {host_of(self._url)}: {reason}; the launch goes on")
            self._has_failed = True
        else:
            self._has_failed = False

    def _state(self) -> LaunchState:
        return read_state(self._launch.storage, self._launch.document)


def post(url: str, document: Mapping[str, Any]) -> None:
    """POST a JSON document; OSError if it cannot be delivered within a few seconds."""
    parts = urlsplit(url)
    credentials, _, place = parts.netloc.rpartition("@")
    headers = {"Content-Type": "application/json", "User-Agent": "chromatune"}
    if credentials:
        token = base64.b64encode(unquote(credentials).encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    request = urllib.request.Request(
        urlunsplit(parts._replace(netloc=place)), json.dumps(document).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN_S):
        pass


def host_of(url: str) -> str:
    """Scheme and host of a URL; the rest may be as secret as a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _message(event: str, state: LaunchState, best: Best | None) -> dict[str, Any]:
    """What is posted; `text` is a sentence, which chat programs show."""
    document = state.document
    figure = f", best {with_unit(state.metric, best.value)} ({best.cell_id})" if best else ""
    verb = "has a new best cell" if event == "best" else event
    return {
        "event": event,
        "text": f"{state.launch_id} {verb}: {state.done} of {state.cells} cells{figure}",
        "launch_id": state.launch_id,
        "kind": document["kind"],
        "task": document["task"],
        "dataset": document["dataset"],
        "done": state.done,
        "cells": state.cells,
        "metric": state.metric,
        "best": dataclasses.asdict(best) if best else None,
        "host": socket.gethostname(),
        "time": round(time.time() * 1000),
    }
