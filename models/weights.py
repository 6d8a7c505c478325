"""A trained model as one .safetensors file: its weights, and its spec as JSON in the metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.base import ChromaModel
from models.errors import ModelError
from models.registry import create_model_from_spec

_KEY = "chromatune-model-1"


def save_model(model: ChromaModel, path: str | Path) -> None:
    """Write the model to the file `path`, atomically; equal models give equal bytes."""
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
    """Build the model stored in `path`, in evaluation mode on `device`. Nothing is unpickled.

    Raises ModelError if the file is missing, damaged, or not a model of this registry.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no model file at {path}")
    tensors, metadata = read_tensors(path)
    if _KEY not in metadata:
        raise ModelError(f"{path} is a safetensors file, but not a Chromatune model")
    try:
        # On the meta device no initial weights are drawn, so loading leaves the generator alone.
        with torch.device("meta"):
            model = create_model_from_spec(json.loads(metadata[_KEY]))
        for name, expected in model.state_dict().items():
            if name in tensors and tensors[name].dtype != expected.dtype:
                raise ModelError(f"{name} is {tensors[name].dtype}, not {expected.dtype}")
        model.load_state_dict(tensors, assign=True)
    except (ModelError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the weights in {path} do not fit the model it names: {reason}") from None
    return model.to(device).eval()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a .safetensors file; ModelError if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            # Cloned, because the library maps the file, which may be replaced while in use.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} is damaged or not a model file: {reason}") from None
