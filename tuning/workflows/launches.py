"""The launches under a storage path, as a table."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tuning.display.comparison_table import ResultTable
from tuning.display.formatting import format_age, with_unit
from tuning.display.table import Cell, Row, Table
from tuning.errors import ChromatuneError
from tuning.launch.find import Document, list_documents
from tuning.launch.overview import LaunchState, read_state
from tuning.launch.storage import LaunchStorage

_COLUMNS = ("state", "cells", "best", "age")
# A bucket answers many requests at the same time.
_READERS = 8


@dataclasses.dataclass(frozen=True)
class LaunchesTable(ResultTable):
    """A row for each launch, the newest first; `problems` names those that cannot be read."""

    storage_path: str
    launches: Sequence[LaunchState]
    problems: Sequence[str]

    def tables(self) -> list[Table]:
        now = time.time()
        rows = []
        for launch in self.launches:
            best, owner = launch.best, launch.owner
            texts = (
                launch.state,
                f"{launch.done}/{launch.cells}",
                with_unit(launch.metric, best.value) if best else "–",
                format_age(now - launch.document["created"] / 1000),
            )
            where = (f"on {owner.host}, process {owner.pid}",) if owner else ()
            rows.append(Row(launch.launch_id, tuple(map(Cell, texts)), where))
        caption = f"launches in {self.storage_path}"
        notes = tuple(self.problems)
        return [Table(caption, "launch", _COLUMNS, tuple(rows), notes, left=("state",))]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "launches",
            "storage_path": self.storage_path,
            "launches": [launch_record(launch) for launch in self.launches],
            "problems": list(self.problems),
        }


def launches_table(storage_path: str) -> LaunchesTable:
    """Read where every launch under `storage_path` stands; ChromatuneError if there is none."""
    problems: list[str] = []

    def note(name: str, error: Exception) -> None:
        problems.append(f"{name} cannot be read: {str(error).partition(chr(10))[0]}")

    found = list_documents(storage_path, on_error=note)
    if not found and not problems:
        raise ChromatuneError(f"no launch in {storage_path}: start one with `chromatune grid`")

    def read(launch: tuple[LaunchStorage, Document]) -> LaunchState | None:
        try:
            return read_state(*launch)
        except (ChromatuneError, OSError) as error:
            note(launch[0].name, error)
            return None

    with ThreadPoolExecutor(_READERS) as pool:
        states = [state for state in pool.map(read, reversed(found)) if state is not None]
    return LaunchesTable(storage_path, states, sorted(problems))


def launch_record(launch: LaunchState) -> dict[str, Any]:
    """What a program may want to know of a launch, JSON-able."""
    owner, best, document = launch.owner, launch.best, launch.document
    return {
        "launch_id": launch.launch_id,
        "folder": launch.storage.uri,
        "kind": document["kind"],
        "task": document["task"],
        "dataset": document["dataset"],
        "state": launch.state,
        "host": owner.host if owner else None,
        "pid": owner.pid if owner else None,
        "heartbeat": owner.heartbeat if owner else None,
        "created": document["created"],
        "cells": launch.cells,
        "done": launch.done,
        "trial_count": launch.trial_count,
        "metric": launch.metric,
        "best": dataclasses.asdict(best) if best else None,
    }
