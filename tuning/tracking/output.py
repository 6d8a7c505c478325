"""What a trial has printed, as an artifact of its runs."""

from __future__ import annotations

from mlflow import MlflowClient

from tuning.launch.storage import LaunchStorage
from tuning.launch.trial_log import logs_of
from tuning.utils.redaction import redact

_ARTIFACT = "log.txt"


def log_output(client: MlflowClient, run_id: str, storage: LaunchStorage, training_id: str) -> None:
    """Log what all attempts at a training have printed so far; nothing if that is nothing."""
    paths = logs_of(storage, training_id)
    texts = [storage.read_text(path) for path in paths]
    if len(texts) > 1:
        texts = [f"== {path} ==\n{text}" for path, text in zip(paths, texts, strict=True)]
    if texts:
        client.log_text(run_id, redact("\n".join(texts)), _ARTIFACT)
