"""A search's report in MLflow: below the artifacts of its parent run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tuning.errors import ChromatuneError
from tuning.launch.folder import Launch
from tuning.tracking.runs import TAG
from tuning.tracking.store import first_line, make_client, search_all_runs

FOLDER = "search"


def log_search(launch: Launch, tracking_uri: str) -> None:
    """Copy the launch's folder `search` to the parent run's artifacts; done again, it replaces it.

    Raises ChromatuneError if MLflow does not take it, or has no parent run of the launch.
    """
    client = make_client(tracking_uri)
    try:
        experiment = client.get_experiment_by_name(str(launch.document["experiment"]))
        query = f"tags.`{TAG}launch_id` = '{launch.launch_id}'"
        found = search_all_runs(client, [experiment.experiment_id] if experiment else [], query)
        parent = next((run for run in found if f"{TAG}cell_id" not in run.data.tags), None)
        if parent is None:
            raise ChromatuneError(
                f"launch {launch.launch_id} is not in MLflow: "
                f"`chromatune resume {launch.found_by}` enters it"
            )
        with tempfile.TemporaryDirectory() as scratch:
            for name in launch.storage.list_dir(FOLDER):
                launch.storage.download(f"{FOLDER}/{name}", Path(scratch) / name)
            client.log_artifacts(parent.info.run_id, scratch, FOLDER)
    except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
        raise ChromatuneError(
            f"the report of {launch.launch_id} could not be written to MLflow: "
            f"{first_line(error)}; `chromatune resume {launch.found_by}` writes it"
        ) from None
