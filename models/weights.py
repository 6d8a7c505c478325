"""A trained model as one .safetensors file: its weights, and its spec as JSON in the metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch

from models.base import ChromaModel
from models.errors import ModelError
from models.registry import create_model_from_spec
from models.tensor_file import TensorFileError, load_file, save_file

_KEY = "chromatune-model-1"


def save_model(model: ChromaModel, path: str | Path) -> None:
    """Write the model to the file `path`; it appears there only once it is whole."""
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    try:
        save_file(tensors, scratch, {_KEY: json.dumps(model.spec, sort_keys=True)})
        with scratch.open("rb") as stream:
            os.fsync(stream.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def load_model(path: str | Path, device: str | torch.device = "cpu") -> ChromaModel:
    """Build the model that `path` holds, in evaluation mode on `device`. Nothing is unpickled.

    Raises ModelError if the file is missing, damaged, or no model of this registry.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no model file at {path}")
    try:
        tensors, metadata = load_file(path)
    except TensorFileError as error:
        raise ModelError(f"{path} is damaged or no model file: {error}") from None
    if _KEY not in metadata:
        raise ModelError(f"{path} is a safetensors file, but holds no model of Chromatune")
    try:
        # On the meta device no initial weights are drawn, so loading leaves the generator alone.
        with torch.device("meta"):
            model = create_model_from_spec(json.loads(metadata[_KEY]))
        model.load_state_dict(tensors, assign=True)
    except (ModelError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} does not hold the model it names: {reason}") from None
    return model.to(device).eval()
