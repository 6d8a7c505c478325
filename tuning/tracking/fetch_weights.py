"""Weights of MLflow models, fetched without running any code that is stored with them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from models import ChromaModel, load_model
from tuning.errors import ChromatuneError
from tuning.tracking.registry.catalog import find_version, model_name
from tuning.tracking.store import make_client, translated
from tuning.utils.redaction import redact

WEIGHTS = "model.safetensors"
# Where MLflow sends the user's tracking credentials to whatever host the location names.
_WITH_CREDENTIALS = ("http", "https", "mlflow-artifacts")


def load_logged_weights(model_uri: str, tracking_uri: str, folder: Path | None = None) -> Path:
    """Fetch the safetensors file of a model and return its local path; no code of it is run.

    `model_uri` is `models:/<name>/<version>`, `models:/<name>@<alias>` or `models:/m-<id>`. The
    file is put into `folder`; without one it is in the store itself if that is local, so never
    write to it, and otherwise in a temporary folder that the caller deletes. Raises
    ChromatuneError if the model does not exist or is not of this project.
    """
    client = make_client(tracking_uri)
    with translated(f"no model '{model_uri}'"):
        location = _artifact_location(client, model_uri)
    _check_host(location, model_uri, tracking_uri)
    with translated(
        f"the model '{model_uri}' holds no artifacts/{WEIGHTS}: it was not made by this project, "
        f"or its artifacts are gone"
    ):
        fetched = download_artifacts(
            f"{location.rstrip('/')}/artifacts/{WEIGHTS}",
            dst_path=str(folder) if folder else None,
            tracking_uri=tracking_uri,
        )
    return Path(fetched)


def load_registered(model_uri: str, tracking_uri: str, device: str = "cpu") -> ChromaModel:
    """Load the network of an MLflow model; the same URIs and errors as `load_logged_weights`.

    Raises UntrustedCode if it brings code that is not trusted.
    """
    with tempfile.TemporaryDirectory() as scratch:
        weights = load_logged_weights(model_uri, tracking_uri, Path(scratch))
        return load_model(weights, device, label=model_uri)


def _check_host(location: str, model_uri: str, tracking_uri: str) -> None:
    """Reject a location to which the store's own password would be sent, on another server."""
    place = urlsplit(location)
    own = urlsplit(tracking_uri).netloc.rpartition("@")[2]
    if place.scheme in _WITH_CREDENTIALS and place.netloc not in ("", own):
        raise ChromatuneError(
            f"the artifacts of the model '{model_uri}' are at {redact(location)}, on another "
            f"server than the store: copy the model into the store if you trust it"
        )


def _artifact_location(client: MlflowClient, model_uri: str) -> str:
    name = model_name(model_uri)
    if "@" not in name and "/" not in name:
        return str(client.get_logged_model(name).artifact_location)
    version = find_version(client, name)
    return str(client.get_model_version_download_uri(version.name, version.version))
