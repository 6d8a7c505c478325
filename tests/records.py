"""Cells as a trial leaves them, without training."""

from __future__ import annotations

from typing import Any

from tuning.launch.records import cell_folder
from tuning.launch.storage import LaunchStorage


def leave_cell(storage: LaunchStorage, training_id: str, cell_id: str, **fields: Any) -> None:
    """Write the record of a cell, which is finished if `fields` do not say otherwise."""
    counts = {"parameters": 1, "seconds": 1.0, "started": 0, "ended": 1}
    record = {"cell_id": cell_id, "params": {}, "metrics": {}, "history": [], **counts, **fields}
    storage.write_json(f"{cell_folder(training_id, cell_id)}/cell.json", record)
