"""Deletes a launch: its folder, and if wanted what MLflow has of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tuning.errors import ChromatuneError
from tuning.launch.find import find_document
from tuning.launch.folder import Launch
from tuning.launch.launch_json import DOCUMENT
from tuning.launch.lease import OWNER, read_owner
from tuning.launch.overview import LaunchState, read_state
from tuning.utils.commands import shell_command
from tuning.workflows.address_checks import store_of

if TYPE_CHECKING:
    from tuning.tracking.launch_runs import LaunchRuns


@dataclasses.dataclass(frozen=True)
class Deletion:
    """What would be deleted; `runs` are those in the store at `uri`, None if they stay."""

    launch: Launch
    state: LaunchState
    uri: str | None = None
    runs: LaunchRuns | None = None

    @property
    def summary(self) -> str:
        """What is to be deleted, for a question."""
        done = f"{self.state.done} of {self.state.cells} cells"
        text = f"{self.launch.launch_id} ({self.state.state}, {done}) in {self.launch.storage.uri}"
        if self.runs is None:
            return f"{text}; its runs and models in MLflow stay"
        counts = f"{len(self.runs.run_ids)} runs and {len(self.runs.model_ids)} models in MLflow"
        names = ", ".join(self.runs.registered)
        return f"{text}, {counts}" + (f", and the registered {names}" if names else "")


def plan_deletion(
    name: str,
    storage_path: str,
    *,
    with_runs: bool = False,
    tracking_uri: str | None = None,
    force: bool = False,
) -> Deletion:
    """Find what belongs to a launch; nothing is deleted.

    Raises ChromatuneError if there is no such launch, if it is running, or if a registered model
    comes from it, unless `force` says to delete that, too.
    """
    storage, document = find_document(name, storage_path)
    launch = Launch(storage, document)
    owner = read_owner(storage)
    if owner is not None and owner.lives:
        raise ChromatuneError(
            f"{launch.launch_id} is running: stop it with "
            f"{shell_command('chromatune', 'stop', launch.found_by)}"
        )
    state = read_state(storage, document)
    uri = store_of(launch, tracking_uri) if with_runs else None
    if uri is None:
        return Deletion(launch, state)
    from tuning.tracking.launch_runs import runs_of_launch

    runs = runs_of_launch(uri, launch.launch_id)
    if runs.versions and not force:
        raise ChromatuneError(
            f"{', '.join(runs.registered)} comes from {launch.launch_id}: to keep it, delete the "
            f"launch without --with-runs; with --force it is deleted from the registry, too"
        )
    return Deletion(launch, state, uri, runs)


def delete_launch(deletion: Deletion) -> None:
    """Delete what was found, first in MLflow; ChromatuneError if a process works on the launch."""
    launch = deletion.launch
    with launch.held():
        if deletion.uri is not None and deletion.runs is not None:
            from tuning.tracking.launch_runs import delete_runs

            delete_runs(deletion.uri, deletion.runs)
        # The document goes last: until then the launch is there, and can be deleted again.
        names = [name for name in launch.storage.list_dir() if name not in (OWNER, DOCUMENT)]
        for name in [*names, DOCUMENT]:
            launch.storage.delete(name)
    launch.storage.delete()
