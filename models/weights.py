"""A trained model as one .safetensors file: its weights, and its spec as JSON in the metadata.

For a network from a user's file, that file is beside the spec: see `models.user_code`.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.base import ChromaModel
from models.errors import ModelError
from models.registry import create_model_from_spec, drawing_no_weights
from models.user_code import UserCode, check_trusted

_KEY = "chromatune-model-1"
_CODE = "code"
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}


def save_model(model: ChromaModel, path: str | Path) -> None:
    """Write the model to the file `path`, atomically; equal models give equal bytes."""
    from safetensors.torch import save_file

    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    document: dict[str, Any] = dict(model.spec)
    if model.code is not None:
        document[_CODE] = {"name": model.code.name, "source": model.code.source}
    # In one entry, because the library writes several in any order.
    metadata = {_KEY: json.dumps(document, sort_keys=True)}
    try:
        save_file(tensors, scratch, metadata)
        with scratch.open("rb") as stream:
            os.fsync(stream.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def load_model(
    path: str | Path,
    device: str | torch.device = "cpu",
    *,
    label: str | None = None,
    trust_code: bool = False,
) -> ChromaModel:
    """Build the model stored in `path`, in evaluation mode on `device`. Nothing is unpickled.

    Code that the file carries runs only with `trust_code`, or if this process trusts it. Raises
    UntrustedCode if it does not, in which `label` names the model, and ModelError if the file is
    missing, damaged, or not a model of this registry.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no model file at {path}")
    tensors, metadata = read_tensors(path)
    if _KEY not in metadata:
        raise ModelError(f"{path} is a safetensors file, but not a Chromatune model")
    spec, code = _read_spec(metadata[_KEY], path)
    if code is not None and not trust_code:
        check_trusted(code.name, code.digest, label or f"the model in {path}")
    try:
        with drawing_no_weights(code):
            model = create_model_from_spec(spec, code)
        for name, expected in model.state_dict().items():
            if name in tensors and tensors[name].dtype != expected.dtype:
                raise ModelError(f"{name} is {tensors[name].dtype}, not {expected.dtype}")
        model.load_state_dict(tensors, assign=True)
    except (ModelError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the weights in {path} do not fit the model it names: {reason}") from None
    return model.to(device).eval()


def _read_spec(text: str, path: Path) -> tuple[dict[str, Any], UserCode | None]:
    try:
        spec = dict(json.loads(text))
        code = spec.pop(_CODE, None)
        return spec, None if code is None else UserCode(str(code["name"]), str(code["source"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"the weights in {path} do not fit the model it names: {error}") from None


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a .safetensors file; ModelError if it is damaged."""
    try:
        try:
            from safetensors import SafetensorError, safe_open
        except ImportError:  # a logged model, where only MLflow and torch are installed
            return _parse(path.read_bytes())
        try:
            with safe_open(path, framework="pt") as file:
                # Cloned, because the library maps the file, which may be replaced while in use.
                names = file.keys()
                tensors = {name: file.get_tensor(name).clone() for name in names}
                return tensors, file.metadata() or {}
        except SafetensorError as error:
            raise ValueError(error) from None
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, struct.error) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} is damaged or not a model file: {reason}") from None


def _parse(content: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a .safetensors file: the length of a JSON header, the header, the tensors' bytes."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, about in header.items():
        start, end = (8 + length + offset for offset in about["data_offsets"])
        dtype, values = _DTYPES[about["dtype"]], bytearray(content[start:end])
        flat = torch.frombuffer(values, dtype=dtype) if values else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(about["shape"])
    return tensors, metadata
