"""A search's report in MLflow, in the artifacts of its parent run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tuning.errors import ChromatuneError
from tuning.launch.folder import SEARCH, Launch
from tuning.tracking.runs import LaunchRuns
from tuning.tracking.store import DELIVERY_ERRORS, first_line, make_client


def log_search(launch: Launch, tracking_uri: str) -> None:
    """Copy the launch's folder `search` to the parent run's artifacts, replacing older files.

    Raises ChromatuneError if MLflow rejects it, or has no parent run of the launch.
    """
    client = make_client(tracking_uri)
    again = f"run `chromatune resume {launch.found_by}`"
    try:
        experiment = client.get_experiment_by_name(str(launch.document["experiment"]))
        parent = None
        if experiment is not None:
            parent = LaunchRuns(client, experiment.experiment_id, launch.launch_id).find("")
        if parent is None:
            raise ChromatuneError(f"launch {launch.launch_id} is not in MLflow: {again}")
        with tempfile.TemporaryDirectory() as scratch:
            for name in launch.storage.list_dir(SEARCH):
                launch.storage.download(f"{SEARCH}/{name}", Path(scratch) / name)
            client.log_artifacts(parent.run_id, scratch, SEARCH)
    except DELIVERY_ERRORS as error:
        raise ChromatuneError(
            f"the report of {launch.launch_id} could not be written to MLflow: "
            f"{first_line(error)}; {again}"
        ) from None
