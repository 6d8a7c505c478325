"""Where the figures come from: data, seeds, versions, hardware, time, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from tuning.display.formatting import format_duration
from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Facts, Text
from tuning.report._selection import Choice
from tuning.tracking.stored_runs import Store, StoredLaunch
from tuning.utils.redaction import redact

# An absolute path: at the beginning of a word, behind an equals sign or a comma, or in a URI.
_ABSOLUTE_PATH = re.compile(r"(^|[=,]|sqlite:///|file://)/(?:[^,]*/)?([^/,]*)")


def provenance_blocks(choice: Choice, store: Store) -> list[Block]:
    """Everything needed to judge the figures, and to reproduce them."""
    launches = [launch for data in choice.shown for launch in data.launches]
    facts = {f"data {data.name}": f"digest {data.digest}" for data in choice.shown}
    facts |= {
        "seeds": _seeds(launches),
        "versions": _documents(launches, "versions"),
        "hardware": _documents(launches, "hardware"),
        "device time": _device_time(launches),
        "store": _held(choice, store),
    }
    blocks: list[Block] = [Facts(tuple(fact for fact in facts.items() if fact[1]))]
    if launches:
        rows = tuple(_launch_row(launch, store) for launch in launches)
        columns = ("started", "cells finished", "training")
        blocks.append(Table("Launches on the data shown", "launch", columns, rows, stacks=True))
    commands = [without_paths(str(run.document.get("command") or "")) for run in launches]
    lines = [f"$ {command}" for command in dict.fromkeys(filter(None, commands))]
    if lines:
        caption = "Commands that made these figures; `PATH` stands for a folder of their machine."
        blocks += [Text(caption), Text("\n".join(lines), "commands")]
    return blocks


def without_paths(command: str) -> str:
    """Shorten a command's absolute paths, `/home/me/data` to `PATH/data`.

    They are of one machine alone, and name its users.
    """
    try:
        words = shlex.split(redact(command))
    except ValueError:
        words = redact(command).split()
    return shlex.join(_ABSOLUTE_PATH.sub(r"\1PATH/\2", word) for word in words)


def _seeds(launches: Sequence[StoredLaunch]) -> str:
    manifests = [launch.document.get("dataset_manifest") or {} for launch in launches]
    settings = [manifest.get("settings") or {} for manifest in manifests]
    parts = {
        "training": {cell.seed for launch in launches for cell in launch.cells} - {"?"},
        "split and augmentation": {str(found["seed"]) for found in settings if "seed" in found},
    }
    return "; ".join(f"{what} {', '.join(sorted(seeds))}" for what, seeds in parts.items() if seeds)


def _documents(launches: Sequence[StoredLaunch], key: str) -> str:
    """What the launches' documents say, each different answer once."""
    found = [(launch.document.get(key) or {}).items() for launch in launches]
    lines = [", ".join(f"{name} {value}" for name, value in values) for values in found]
    return "; ".join(filter(None, dict.fromkeys(lines)))


def _device_time(launches: Sequence[StoredLaunch]) -> str:
    hours: dict[str, float] = {}
    for launch in launches:
        for device, seconds in launch.training_seconds.items():
            hours[device] = hours.get(device, 0) + seconds / 3600
    each = ", ".join(f"{hour:.2f} h on {device}" for device, hour in sorted(hours.items()))
    return f"{sum(hours.values()):.2f} device-hours of training ({each})" if hours else ""


def _held(choice: Choice, store: Store) -> str:
    counts = {"launches on the data shown": sum(len(data.launches) for data in choice.shown)}
    for data in choice.others:
        counts[f"launches on {data.name}@{data.short_digest}, not shown"] = len(data.launches)
    counts["runs of other programs, left out"] = store.foreign_runs
    counts["runs without tags or parameters, left out"] = len(store.broken_runs)
    return "; ".join(f"{what}: {count}" for what, count in counts.items() if count)


def _launch_row(launch: StoredLaunch, store: Store) -> Row:
    started = datetime.fromtimestamp(launch.created / 1000, UTC)
    below = f"{started:%H:%M} UTC"
    if commit := str(launch.document.get("git_commit") or ""):
        dirty = "-dirty" if commit.endswith("-dirty") else ""
        below += f", commit {commit[:7]}{dirty}"
    cells = (
        Cell(f"{started:%Y-%m-%d}", (below,), href=store.link(launch)),
        Cell(f"{len(launch.finished)} of {launch.planned}"),
        Cell(format_duration(sum(launch.training_seconds.values()))),
    )
    return Row(launch.launch_id, cells)
