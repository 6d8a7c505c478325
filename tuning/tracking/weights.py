"""Weights of MLflow models, fetched without running any code that is stored with them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from models import ChromaModel, load_model
from tuning.errors import ChromatuneError
from tuning.tracking.store import first_line, make_client
from tuning.utils.redaction import redact

WEIGHTS = "model.safetensors"
# Where MLflow sends the user's tracking credentials to whatever host the location names.
_WITH_CREDENTIALS = ("http", "https", "mlflow-artifacts")


def load_logged_weights(model_uri: str, tracking_uri: str, folder: Path | None = None) -> Path:
    """Fetch the safetensors file of a model and return its local path; no code of it is run.

    `model_uri` is `models:/<name>/<version>`, `models:/<name>@<alias>` or `models:/m-<id>`. The
    file is put into `folder`; without one it lies in the store itself if that is local, so never
    write to it, and otherwise in a temporary folder that is the caller's to delete. Raises
    ChromatuneError if the model is not there or not of this project.
    """
    client = make_client(tracking_uri)
    try:
        location = _artifact_location(client, model_uri)
    except MlflowException as error:
        raise ChromatuneError(f"no model '{model_uri}': {first_line(error)}") from None
    _check_host(location, model_uri, tracking_uri)
    try:
        fetched = download_artifacts(
            f"{location.rstrip('/')}/artifacts/{WEIGHTS}",
            dst_path=str(folder) if folder else None,
            tracking_uri=tracking_uri,
        )
    except (MlflowException, OSError) as error:
        raise ChromatuneError(
            f"the model '{model_uri}' holds no artifacts/{WEIGHTS}: it was not made by this "
            f"project, or its artifacts are gone ({first_line(error)})"
        ) from None
    return Path(fetched)


def load_registered(model_uri: str, tracking_uri: str, device: str = "cpu") -> ChromaModel:
    """Load the network of an MLflow model; the same URIs and errors as `load_logged_weights`."""
    with tempfile.TemporaryDirectory() as scratch:
        return load_model(load_logged_weights(model_uri, tracking_uri, Path(scratch)), device)


def _check_host(location: str, model_uri: str, tracking_uri: str) -> None:
    """Refuse a location that would have the store's own password sent to another server."""
    place = urlsplit(location)
    own = urlsplit(tracking_uri).netloc.rpartition("@")[2]
    if place.scheme in _WITH_CREDENTIALS and place.netloc not in ("", own):
        raise ChromatuneError(
            f"the artifacts of the model '{model_uri}' are said to lie at {redact(location)}, on "
            f"another server than the store: copy the model into the store if you trust it"
        )


def _artifact_location(client: MlflowClient, model_uri: str) -> str:
    name = model_uri.removeprefix("models:/")
    if name == model_uri or not name:
        raise ChromatuneError(
            f"'{model_uri}' is not a model: use models:/<name>/<version> or models:/<name>@champion"
        )
    if "@" in name:
        version = client.get_model_version_by_alias(*name.split("@", 1))
    elif "/" in name:
        version = client.get_model_version(*name.split("/", 1))
    else:
        return str(client.get_logged_model(name).artifact_location)
    return str(client.get_model_version_download_uri(version.name, version.version))
