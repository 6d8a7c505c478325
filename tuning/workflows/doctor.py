"""Finds and fixes what killed processes left in launch folders and in MLflow."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from tuning.errors import ChromatuneError
from tuning.launch.checkpoint_choice import leftovers
from tuning.launch.code import UntrustedLaunch, open_code
from tuning.launch.folder import Launch, list_launches
from tuning.launch.lease import read_owner
from tuning.launch.outcomes import CellOutcome, cell_outcomes, has_ended
from tuning.search.budget import Budget
from tuning.tracking.address import store_command
from tuning.tracking.delivery import project_launch
from tuning.tracking.health import (
    TrackedLaunch,
    cells_without_files,
    deleted_experiment,
    reopen,
    restore,
    tracked_launches,
)
from tuning.tracking.store import first_line, prepare_store
from tuning.utils.commands import shell_command
from tuning.utils.redaction import HIDDEN, redact

Status = Literal["fixed", "fixable", "needs you", "skipped", "noted"]

_NAMED = 5  # launches in one line


@dataclasses.dataclass(frozen=True)
class Finding:
    """A problem, where it is, and what was done or has to be done about it.

    It is `fixable` in a dry run, where otherwise it would be `fixed`; what is `noted` may be well.
    """

    where: str
    problem: str
    action: str
    status: Status


def examine(storage_path: str, uri: str, *, dry_run: bool = False) -> Iterator[Finding]:
    """Check every launch under `storage_path`, then the runs in MLflow of launches elsewhere.

    Launches that a process is working on are skipped. A dry run writes nothing. Raises
    ChromatuneError if the storage path or the tracking store cannot be read.
    """
    if not dry_run:
        prepare_store(uri)
    tracked = tracked_launches(uri)
    unreadable: list[tuple[str, Exception]] = []
    launches = list_launches(
        storage_path, lambda name, error: unreadable.append((name, error)), opening=True
    )
    for name, error in unreadable:
        action = "left as it is" if isinstance(error, UntrustedLaunch) else "fix or remove it"
        yield Finding(name, f"cannot be read: {first_line(error)}", action, "needs you")
    for launch in launches:
        try:
            open_code(launch.storage, launch.document)  # launches may bring versions of one file
            with _unused(launch) if dry_run else launch.held():
                yield from _files(launch, dry_run)
                yield from _runs(launch, tracked, uri, dry_run)
                yield from _unfinished(launch, uri)
        except (ChromatuneError, OSError) as error:
            yield Finding(launch.launch_id, first_line(error), "left as it is", "skipped")
    known = {launch.launch_id for launch in launches} | {name for name, _ in unreadable}
    for launch_id, found in tracked.items():
        if found.running and launch_id not in known:
            yield Finding(
                launch_id,
                f"{_count(found.running, 'run')} RUNNING in MLflow, and no such launch here",
                "name its folder with --storage-path, or end its runs in MLflow",
                "skipped",
            )
    absent = sorted(name for name, found in tracked.items() if name not in known)
    absent = [name for name in absent if not tracked[name].running]
    if absent:
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        yield Finding(
            redact(uri),
            f"{_count(len(absent), 'launch')} in MLflow without a folder here: "
            f"{', '.join(absent[:_NAMED])}{more}",
            "name the folder with --storage-path, or delete the runs in MLflow if it is gone",
            "noted",
        )


@contextlib.contextmanager
def _unused(launch: Launch) -> Iterator[None]:
    """As `Launch.held`, but writes nothing, and so does not keep other processes away."""
    owner = read_owner(launch.storage)
    if owner is not None and owner.lives:
        raise ChromatuneError(f"{launch.launch_id} is in use by {owner}")
    yield


def _files(launch: Launch, dry_run: bool) -> Iterator[Finding]:
    for path, reason in leftovers(launch):
        if not dry_run:
            launch.storage.delete(path)
        yield _fixed(launch, f"{path}: {reason}", "deleted", dry_run)


def _runs(
    launch: Launch, tracked: Mapping[str, TrackedLaunch], uri: str, dry_run: bool
) -> Iterator[Finding]:
    """Bring MLflow to what the launch folder says, unless the launch belongs to another store.

    Runs that it left open here show that it was resumed with this store.
    """
    found = tracked.get(launch.launch_id, TrackedLaunch())
    if not found.running and not _belongs_to(launch, uri):
        return
    experiment = str(launch.document["experiment"])
    if command := deleted_experiment(uri, experiment):
        problem = f"its experiment '{experiment}' was deleted in MLflow"
        yield Finding(launch.launch_id, problem, f"restore it with {command}", "needs you")
        return
    if found.trash:
        if not dry_run:
            restore(uri, found.trash.values())
            project_launch(launch.storage, uri)
        problem = f"{_count(len(found.trash), 'run')} deleted in MLflow"
        yield _fixed(launch, problem, "restored", dry_run)
    without_files = cells_without_files(uri, found)
    if without_files:
        if not dry_run:
            reopen(uri, without_files.values())
            project_launch(launch.storage, uri)
        names = ", ".join(name or "the launch's own" for name in without_files)
        problem = f"the files of {_count(len(without_files), 'run')} are gone from MLflow: {names}"
        yield _fixed(launch, problem, "written again", dry_run)
    missing = [
        cell.cell_id
        for cell in _ended(launch)
        if found.outcomes.get(cell.cell_id) != cell.outcome and cell.cell_id not in found.trash
    ]
    if (found.running or missing) and not dry_run:
        project_launch(launch.storage, uri)
    if found.running:
        problem = f"{_count(found.running, 'run')} RUNNING in MLflow, but no process trains them"
        yield _fixed(launch, problem, "ended", dry_run)
    if missing:
        problem = f"{_count(len(missing), 'cell')} not in MLflow: {', '.join(missing)}"
        yield _fixed(launch, problem, "written", dry_run)


def _belongs_to(launch: Launch, uri: str) -> bool:
    """Whether a launch is tracked at `uri`, or was trained without MLflow or on another machine."""
    own = launch.tracking_uri
    if own.startswith("sqlite:///") and not Path(own.removeprefix("sqlite:///")).exists():
        return True
    # A launch does not keep the password of its store, nor need it be the same user's.
    return not own or own.replace(f"{HIDDEN}@", "") == redact(uri).replace(f"{HIDDEN}@", "")


def _ended(launch: Launch) -> Iterator[CellOutcome]:
    """The cells that MLflow must have; of a training that failed, the first it did not reach."""
    failed = set()
    for cell in cell_outcomes(launch):
        if cell.ended:
            yield cell
        elif cell.outcome != "stopped" and cell.training.training_id not in failed:
            failed.add(cell.training.training_id)
            yield cell


def _unfinished(launch: Launch, uri: str) -> Iterator[Finding]:
    trainings = launch.trainings
    count = sum(not has_ended(launch.storage, training) for training in trainings)
    problem = f"{_count(count, 'trial')} unfinished" if count else ""
    if not problem and "search" in launch.document["config"]:
        budget = Budget(launch.storage)
        if not budget.is_over and budget.used_up() is None:
            total = budget.allowance.num_samples
            problem = f"the search ended early, after {len(trainings)} of {total} trials"
    if problem:
        # Neither the store nor the cluster that the launch names: it may come from somebody else.
        command = shell_command("chromatune", "resume", launch.found_by)
        if "MLFLOW_TRACKING_URI" in os.environ and _belongs_to(launch, uri):
            command = store_command(uri, "resume", launch.found_by)
        action = f"resume with {command}"
        yield Finding(launch.launch_id, problem, action, "needs you")


def _fixed(launch: Launch, problem: str, done: str, dry_run: bool) -> Finding:
    action = f"would be {done}" if dry_run else done
    return Finding(launch.launch_id, problem, action, "fixable" if dry_run else "fixed")


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
