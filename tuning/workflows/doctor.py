"""Finds what is amiss with launches and their tracking store, and mends what can be mended."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

from data_prep import DATASETS, DataError, dataset_folder, open_dataset
from tuning.backend.cluster import connected
from tuning.backend.node_checks import node_problems
from tuning.errors import ChromatuneError
from tuning.launch.attempts import newest_first
from tuning.launch.datasets import prepare_settings
from tuning.launch.document import DOCUMENT, read_document
from tuning.launch.folder import Launch
from tuning.launch.lease import read_owner
from tuning.launch.leftovers import damaged_checkpoints, leftovers
from tuning.launch.outcomes import CellOutcome, cell_outcomes, has_ended, is_finished
from tuning.launch.storage import LaunchStorage
from tuning.launch.trainings import Training
from tuning.search.budget import Budget
from tuning.tracking.health import (
    end_as_killed,
    keeps_copy,
    open_runs,
    recorded_outcomes,
    schema_of,
    upgrade,
)
from tuning.tracking.projection import project_launch
from tuning.tracking.store import first_line, is_server, prepare_store
from tuning.utils.redaction import HIDDEN, redact
from tuning.workflows.evaluation import launch_cells

# A checkpoint and a cell of the largest network take about 3 GB while one replaces the other.
_ENOUGH_SPACE = 4 * 2**30
# Runs of a launch that lies elsewhere may be at work there: an hour without a word says they died.
_SILENT_S = 3600.0


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something amiss: where, what, and what was done or is to be done about it.

    `mended` is None where only a person can mend it.
    """

    where: str
    what: str
    remedy: str
    mended: bool | None = None


def examine(
    storage_path: str, uri: str, *, dry_run: bool = False, address: str | None = None
) -> Iterator[Finding]:
    """Look at the disks, the tracking store, every launch and every open run, in this order.

    With `address`, first at the nodes of that cluster. With `dry_run` nothing is changed. Launches
    that a process is at work on are left alone. Raises ChromatuneError if the tracking store or the
    cluster cannot be reached.
    """
    if address is not None:
        yield from _nodes(storage_path, address)
    yield from _disks(storage_path, uri)
    schema = schema_of(uri)
    if schema == "outdated":
        yield _upgraded(uri, dry_run)
        if dry_run:
            return  # an outdated store cannot even be read
    if dry_run and schema == "none":
        remedy = "would be made; launches are looked at beside it"
        yield Finding("tracking store", f"there is none at {redact(uri)}", remedy)
        return
    if not dry_run or is_server(uri):  # of a database it would find out whether it can be written
        prepare_store(uri)
    launches, strange = _launches(storage_path)
    yield from strange
    for launch in launches:
        yield from _launch(launch, uri, dry_run)
    yield from _open_runs({launch.launch_id for launch in launches}, uri, dry_run)


def _nodes(storage_path: str, address: str) -> list[Finding]:
    with connected(address):
        found = node_problems(LaunchStorage(storage_path))
    return [Finding("cluster", problem, "see there") for problem in found]


def _disks(storage_path: str, uri: str) -> Iterator[Finding]:
    places = {"launches": storage_path}
    if uri.startswith("sqlite:///"):
        places["the tracking store"] = str(Path(uri.removeprefix("sqlite:///")).parent)
    for what, place in places.items():
        if "://" in place:
            continue
        folder = next(one for one in (Path(place), *Path(place).parents) if one.exists())
        free = shutil.disk_usage(folder).free
        if free < _ENOUGH_SPACE:
            yield Finding(
                str(folder),
                f"{free / 2**30:.1f} GiB are left for {what}",
                "make room: what cannot be written stops a launch, which can be resumed",
            )


def _upgraded(uri: str, dry_run: bool) -> Finding:
    what = "the database is of an older MLflow, which cannot be opened"
    if dry_run:
        first = "a copy kept" if keeps_copy(uri) else "and no copy kept: dump it first"
        return Finding("tracking store", what, f"would be upgraded, {first}", mended=False)
    copy = upgrade(uri)
    kept = f"as it was: {copy}" if copy else "no copy is kept of such a database"
    return Finding("tracking store", what, f"upgraded; {kept}", mended=True)


def _launches(storage_path: str) -> tuple[list[Launch], list[Finding]]:
    """The launches that can be read, oldest first, and what is to be said of the others."""
    root = LaunchStorage(storage_path)
    launches, strange = [], []
    try:
        names = root.list_dir()
    except OSError as error:
        raise ChromatuneError(
            f"cannot read the storage path {storage_path}: {first_line(error)}"
        ) from None
    for name in names:
        try:
            if root.exists(f"{name}/{DOCUMENT}"):
                storage = LaunchStorage(f"{storage_path.rstrip('/')}/{name}")
                launches.append(Launch(storage, read_document(storage)))
        except ChromatuneError:
            what = f"its {DOCUMENT} cannot be read, or is of another version"
            strange.append(Finding(name, what, "left alone: move it away if it is of no use"))
        except OSError as error:
            strange.append(_unusable(name, error))
    return sorted(launches, key=lambda launch: int(launch.document["created"])), strange


def _launch(launch: Launch, uri: str, dry_run: bool) -> Iterator[Finding]:
    try:
        with _unused(launch) if dry_run else launch.held():
            yield from _files(launch, dry_run)
            yield from _data(launch)
            yield from _runs(launch, uri, dry_run)
            what = _left(launch)
            if what:
                again = f"go on with `chromatune resume {launch.found_by}`"
                yield Finding(launch.launch_id, what, again)
    except ChromatuneError as error:
        yield Finding(launch.launch_id, str(error), "left alone")
    except OSError as error:
        yield _unusable(launch.launch_id, error)


def _unusable(where: str, error: OSError) -> Finding:
    what = f"its folder cannot be used: {first_line(error)}"
    return Finding(where, what, "left alone: check that it is there and who may read and write it")


@contextlib.contextmanager
def _unused(launch: Launch) -> Iterator[None]:
    """As `Launch.held` without writing anything, so that it does not keep others away."""
    owner = read_owner(launch.storage)
    if owner is not None and owner.lives:
        raise ChromatuneError(f"{launch.launch_id} is in use by {owner}")
    yield


def _left(launch: Launch) -> str:
    """What a launch has still to train; "" if nothing, or if a budget ended a search as meant."""
    unfinished = [one for one in launch.trainings if not has_ended(launch, one)]
    if unfinished:
        return f"{len(unfinished)} of {len(launch.trainings)} trials have not ended"
    if launch.kind == "search":
        budget = Budget(launch.storage)
        if not budget.is_over and budget.used_up() is None:
            begun, asked = len(launch.trainings), budget.allowance.num_samples
            if begun >= asked:  # killed between the end of its last trial and its own
                return f"the search has not been concluded: {begun} of {asked} trials have ended"
            return f"the search has not ended: {begun} of {asked} trials have begun"
    return ""


def _files(launch: Launch, dry_run: bool) -> Iterator[Finding]:
    for path in leftovers(launch.storage):
        if not dry_run:
            launch.storage.delete(path)
        done = "would be deleted" if dry_run else "deleted"
        yield Finding(launch.launch_id, f"{path} was never finished", done, mended=not dry_run)
    for training in launch.trainings:
        damaged = dict(damaged_checkpoints(launch.storage, training.training_id))
        for path, why in damaged.items():
            if not dry_run:
                launch.storage.delete(path)
            done = "would be deleted" if dry_run else "deleted"
            then = f"{done}{_what_is_left(launch, training, set(damaged))}"
            yield Finding(launch.launch_id, f"{path}: {why}", then, mended=not dry_run)


def _what_is_left(launch: Launch, training: Training, damaged: set[str]) -> str:
    if is_finished(launch, training):
        return ""
    found = {one.path for one in newest_first(launch.storage, training.training_id)}
    return "; an older one serves to go on with" if found - damaged else "; the trial begins anew"


def _without_user(uri: str) -> str:
    """The address of a store; a launch does not keep who it was opened by."""
    return redact(uri).replace(f"{HIDDEN}@", "")


def _data(launch: Launch) -> Iterator[Finding]:
    """Only what is still to be trained needs its data."""
    if all(has_ended(launch, training) for training in launch.trainings):
        return
    expected = str(launch.document["dataset_digest"])
    settings = prepare_settings(launch.config.data)
    try:
        dataset = open_dataset(dataset_folder(settings, launch.config.data.root))
    except DataError as error:
        if not DATASETS[settings.dataset].synthetic:  # those are made anew where they are wanted
            yield Finding(launch.launch_id, f"its data: {error}", "prepare them as they were")
        return
    if dataset.digest == expected:
        try:
            dataset.verify()
        except DataError as error:
            yield Finding(launch.launch_id, f"its data: {error}", "prepare them as they were")
    else:
        yield Finding(
            launch.launch_id,
            f"it was begun on data with the digest {expected[:12]}, and the prepared data have "
            f"{dataset.digest[:12]}: the pictures have changed",
            "prepare the original pictures again, or start a new launch on the present ones",
        )


def _runs(launch: Launch, uri: str, dry_run: bool) -> Iterator[Finding]:
    """Bring MLflow to what the folder says, where it is a store that the launch wrote to.

    The launch names one, which may be spelled in another way here, and a resumed launch may have
    gone on in another: runs that it left open tell, too.
    """
    stray = open_runs(uri, launch.launch_id)
    if not stray and _without_user(launch.tracking_uri) != _without_user(uri):
        return
    delivered = launch_cells(uri, launch)
    told = recorded_outcomes(uri, launch.launch_id)
    missing = [
        cell.cell_id
        for cell in _ended(launch)
        if told.get(cell.cell_id) != cell.outcome
        or (cell.outcome == "finished" and cell.cell_id not in delivered)
    ]
    if not (stray or missing):
        return
    if not dry_run:
        project_launch(launch.storage, uri)
    ended = "would be ended" if dry_run else "ended as what they came to"
    if stray:
        what = (
            f"{_count(len(stray), 'run')} RUNNING in MLflow, and no process at work on the launch"
        )
        yield Finding(launch.launch_id, what, ended, mended=not dry_run)
    if missing:
        what = f"{_count(len(missing), 'ended cell')} not in MLflow: {', '.join(missing)}"
        done = "would be written" if dry_run else "written"
        yield Finding(launch.launch_id, what, done, mended=not dry_run)


def _ended(launch: Launch) -> Iterator[CellOutcome]:
    """The cells that MLflow must know of; of a training that failed, the first it did not reach."""
    failed = set()
    for cell in cell_outcomes(launch, {}):
        if cell.outcome in ("finished", "pruned"):
            yield cell
        elif cell.outcome != "stopped" and cell.training.training_id not in failed:
            failed.add(cell.training.training_id)
            yield cell


def _open_runs(known: set[str], uri: str, dry_run: bool) -> Iterator[Finding]:
    gone: dict[str, list[str]] = {}
    runs = [run for run in open_runs(uri) if run.launch_id not in known]
    silent = [run for run in runs if run.silent_s >= _SILENT_S]
    if silent and not dry_run:
        end_as_killed(uri, silent)
    for run in silent:
        gone.setdefault(run.launch_id, []).append(run.name)
    for launch_id, names in gone.items():
        yield Finding(
            launch_id,
            f"{_count(len(names), 'run')} RUNNING in MLflow without a word for more than an hour, "
            f"and no such launch can be read here",
            "would be ended as KILLED" if dry_run else "ended as KILLED",
            mended=not dry_run,
        )
    for launch_id in {run.launch_id for run in runs if run.silent_s < _SILENT_S}:
        yield Finding(
            launch_id,
            "runs are RUNNING in MLflow, and the launch lies elsewhere",
            "left alone, as it may be at work; name its folder with --storage-path",
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
