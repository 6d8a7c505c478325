"""The data of a launch as an MLflow dataset input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag

from tuning.utils.redaction import redact

# MLflow keeps no longer ones; the whole digest is a tag of the run.
_DIGEST_LENGTH = 36


def log_dataset(client: MlflowClient, run_id: str, launch: Mapping[str, Any]) -> None:
    """Name the data that a run was trained on; called again, it adds nothing."""
    manifest = launch.get("dataset_manifest") or {}
    source = manifest.get("source") or {}
    origin = redact(str(source.get("location") or launch["dataset"]))
    is_url = source.get("kind") == "download"
    dataset = Dataset(
        name=str(launch["dataset"]),
        digest=str(launch["dataset_digest"])[:_DIGEST_LENGTH],
        source_type="http" if is_url else "local",
        source=json.dumps({"url" if is_url else "uri": origin}),
        profile=json.dumps(manifest, sort_keys=True),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])
