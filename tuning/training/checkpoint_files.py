"""The files of a checkpoint: safetensors and JSON, no pickles.

A checkpoint folder holds `state.json` and tensor files, such as `model-<digest>.safetensors`. The
tensor files are written first, under names that no other content uses; replacing `state.json`,
which names them, is what makes the checkpoint. So whenever a process dies, the folder holds the old
checkpoint or the new one, whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors.torch import save_file
from torch import Tensor

from models import ModelError
from models.weights import read_tensors as read_file
from tuning.errors import ChromatuneError
from tuning.utils.faults import describe_fault

_FORMAT = "chromatune-checkpoint-1"
STATE_FILE = "state.json"


class _State(BaseModel):
    """What `state.json` holds; its own digest only says that it is as it was written."""

    model_config = ConfigDict(strict=True)

    training: dict[str, Any]
    dataset_digest: str | None
    epoch: int
    history: list[dict[str, Any]]
    files: dict[
        Literal["model", "optimizer", "averaged", "best"],
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")],
    ]

    @field_validator("files")
    @classmethod
    def _complete(cls, files: dict[str, str]) -> dict[str, str]:
        if files and not {"model", "optimizer"} <= files.keys():
            raise ValueError("a model and an optimizer belong together")
        return files


def file_name(kind: str, digest: str) -> str:
    return f"{kind}-{digest[:16]}.safetensors"


def write_tensors(folder: Path, kind: str, tensors: Mapping[str, Tensor]) -> str:
    """Write one tensor file, named after its content, and return its SHA-256."""
    scratch = folder / f"{kind}.safetensors.{os.getpid()}.tmp"
    save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, scratch)
    digest = _digest(scratch)
    _replace(scratch, folder / file_name(kind, digest))
    return digest


def read_tensors(folder: Path, kind: str, files: Mapping[str, str]) -> dict[str, Tensor]:
    path = folder / file_name(kind, files[kind])
    if not path.is_file():
        raise ChromatuneError(f"the checkpoint in {folder} is incomplete: {path.name} is missing")
    if _digest(path) != files[kind]:
        raise ChromatuneError(
            f"the checkpoint in {folder} is damaged: {path.name} is not what was written"
        )
    try:
        tensors, _ = read_file(path)
    except ModelError as error:
        raise ChromatuneError(str(error)) from None
    return tensors


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _replace(scratch: Path, path: Path) -> None:
    with scratch.open("rb") as stream:
        os.fsync(stream.fileno())
    scratch.replace(path)


def write_state(folder: Path, content: Mapping[str, Any]) -> None:
    content = {"format": _FORMAT, **content}
    scratch = folder / f"{STATE_FILE}.{os.getpid()}.tmp"
    text = json.dumps({**content, "sha256": _json_digest(content)}, allow_nan=False)
    scratch.write_text(text, encoding="utf-8")
    _replace(scratch, folder / STATE_FILE)


def read_state(folder: Path) -> dict[str, Any]:
    path = folder / STATE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ChromatuneError(
            f"there is no checkpoint in {folder}: {STATE_FILE} is missing"
        ) from None
    except (ValueError, RecursionError, OSError):
        raise ChromatuneError(f"the checkpoint in {folder} is damaged: {path} is no JSON") from None
    return checked_state(content, folder)


def checked_state(content: Any, folder: str | Path) -> dict[str, Any]:
    """Return what `state.json` holds; ChromatuneError unless it is whole and of this format."""
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ChromatuneError(f"{folder}/{STATE_FILE} is no checkpoint of the format {_FORMAT}")
    digest = content.pop("sha256", None)
    try:
        is_whole = digest == _json_digest(content)
    except ValueError:  # a number that is none is never written
        is_whole = False
    if not is_whole:
        raise ChromatuneError(
            f"the checkpoint in {folder} is damaged: {STATE_FILE} is not what was written"
        )
    try:
        _State.model_validate(content)
    except ValidationError as error:
        raise ChromatuneError(
            f"{folder}/{STATE_FILE} is damaged: {describe_fault(error)}"
        ) from None
    return content


def _json_digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
