"""Where the figures come from: data, seeds, versions, hardware, time, commands."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Sequence
from typing import Any

from tuning.display.formatting import format_count, format_duration
from tuning.display.table import Cell, Row, Table
from tuning.report._document import Block, Commands, Facts
from tuning.report._selection import SHORT_DIGEST, Choice
from tuning.tracking.records import Store, StoredLaunch
from tuning.utils.redaction import redact

_SHORT_COMMIT = 7
# An absolute path: at the beginning of a word, behind an equals sign or a comma, or in a URI.
_ABSOLUTE_PATH = re.compile(r"(^|[=,]|sqlite:///|file://)/(?:[^,]*/)?([^/,]*)")


def provenance_blocks(choice: Choice, store: Store) -> list[Block]:
    """Everything that it takes to judge the figures, and to get them again."""
    launches = [launch for data in choice.shown for launch in data.launches]
    facts = [
        *_data_facts(choice),
        ("seeds", _listed(_seeds(launches))),
        ("versions", _listed(_documents(launches, "versions"))),
        ("hardware", _listed(_documents(launches, "hardware"))),
        ("device time", _device_time(launches)),
        ("store", _held(choice, store)),
    ]
    commands = tuple(dict.fromkeys(command for launch in launches if (command := _command(launch))))
    blocks: list[Block] = [Facts(tuple(fact for fact in facts if fact[1]))]
    if launches:
        blocks.append(_launch_table(launches, store))
    if commands:
        caption = "Commands that made these figures; `PATH` stands for a folder of their machine."
        blocks.append(Commands(caption, commands))
    return blocks


def device_hours(launches: Iterable[StoredLaunch]) -> dict[str, float]:
    """Hours of training on each kind of device."""
    hours: dict[str, float] = {}
    for launch in launches:
        for device, seconds in launch.training_seconds.items():
            hours[device] = hours.get(device, 0.0) + seconds / 3600
    return hours


def without_paths(command: str) -> str:
    """Shorten a command's absolute paths: they are one machine's alone, and say who works there."""
    try:
        words = shlex.split(redact(command))
    except ValueError:
        words = redact(command).split()
    return shlex.join(shortened(word) for word in words)


def shortened(word: str) -> str:
    """Replace the folders of an absolute path: `/home/me/data` becomes `PATH/data`."""
    return _ABSOLUTE_PATH.sub(r"\1PATH/\2", word)


def _data_facts(choice: Choice) -> list[tuple[str, str]]:
    return [(f"data {data.name}", f"digest {data.digest}") for data in choice.shown]


def _seeds(launches: Sequence[StoredLaunch]) -> list[str]:
    trained = sorted({cell.seed for launch in launches for cell in launch.cells} - {"?"})
    prepared = sorted(
        {
            str(settings["seed"])
            for launch in launches
            if (settings := (launch.document.get("dataset_manifest") or {}).get("settings"))
            and "seed" in settings
        }
    )
    parts = [("training", trained), ("split and augmentation", prepared)]
    return [f"{what} {', '.join(seeds)}" for what, seeds in parts if seeds]


def _documents(launches: Sequence[StoredLaunch], key: str) -> list[str]:
    """What the launches say of themselves, each different answer once."""
    return list(dict.fromkeys(_line(one.document.get(key)) for one in launches))


def _line(values: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in (values or {}).items())


def _device_time(launches: Sequence[StoredLaunch]) -> str:
    hours = device_hours(launches)
    each = ", ".join(f"{hour:.2f} h on {device}" for device, hour in sorted(hours.items()))
    return f"{sum(hours.values()):.2f} device-hours of training ({each})" if hours else ""


def _held(choice: Choice, store: Store) -> str:
    shown = sum(len(data.launches) for data in choice.shown)
    parts = [f"{_launches(shown)} on the data shown"]
    for data in choice.others:
        digest = data.digest[:SHORT_DIGEST]
        parts.append(f"{_launches(len(data.launches))} on {data.name}@{digest} not shown")
    if store.foreign_runs:
        parts.append(f"{format_count(store.foreign_runs, 'run')} of other programs left out")
    if store.broken_runs:
        parts.append(
            f"{format_count(len(store.broken_runs), 'run')} without tags or parameters left out"
        )
    return "; ".join(parts)


def _launches(count: int) -> str:
    return f"{count} {'launch' if count == 1 else 'launches'}"


def _launch_table(launches: Sequence[StoredLaunch], store: Store) -> Table:
    rows = []
    for launch in launches:
        seconds = sum(launch.training_seconds.values())
        begun = time.gmtime(launch.created / 1000)
        made = [time.strftime("%H:%M UTC", begun), *_commit(launch)]
        rows.append(
            Row(
                launch.launch_id,
                (
                    Cell(
                        time.strftime("%Y-%m-%d", begun),
                        (", ".join(made),),
                        href=store.link(launch),
                    ),
                    Cell(f"{len(launch.finished)} of {launch.planned}"),
                    Cell(format_duration(seconds)),
                ),
            )
        )
    columns = ("begun", "cells finished", "training")
    return Table("Launches on the data shown", "launch", columns, tuple(rows), stacks=True)


def _commit(launch: StoredLaunch) -> list[str]:
    commit = str(launch.document.get("git_commit") or "")
    dirty = "-dirty" if commit.endswith("-dirty") else ""
    return [f"commit {commit[:_SHORT_COMMIT]}{dirty}"] if commit else []


def _command(launch: StoredLaunch) -> str:
    return without_paths(str(launch.document.get("command") or ""))


def _listed(values: Sequence[str]) -> str:
    return "; ".join(value for value in values if value)
