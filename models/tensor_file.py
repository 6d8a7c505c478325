"""Tensors in a .safetensors file, written and read by plain Python: nothing to install or unpickle.

The format: 8 bytes, little-endian, with the length of the header; the header, JSON that gives every
tensor's type, shape and stretch of bytes; the bytes of all tensors, one behind the other.
Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

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
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_METADATA = "__metadata__"
_LONGEST_HEADER = 100_000_000
# Tensors begin at a multiple of this, so that they can be used where a file is mapped.
_ALIGNMENT = 8


class TensorFileError(ValueError):
    """The file does not hold tensors in this format, or not all that it names."""


def save_file(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write contiguous CPU tensors to `path`; equal ones give equal bytes."""
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    end = 0
    # The widest first: each then begins at a multiple of its own width.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    for name in names:
        begin, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": _NAMES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little"))
        stream.write(text)
        for name in names:
            stream.write(_bytes_of(tensors[name]))


def load_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors, into memory of their own, and the metadata.

    Raises TensorFileError if the file is damaged or of another format, before it takes more memory
    than the file is long.
    """
    with path.open("rb") as stream:
        header, room = _read_header(stream)
        metadata = header.pop(_METADATA, {})
        tensors = {}
        end = 0
        for name, dtype, shape, begin, then in sorted(_entries(header), key=lambda one: one[3:]):
            if begin != end or then - begin != math.prod(shape) * dtype.itemsize or then > room:
                raise TensorFileError(f"'{name}' does not take the bytes that it must")
            end = then
            tensors[name] = torch.empty(shape, dtype=dtype)
            if stream.readinto(_bytes_of(tensors[name])) != then - begin:
                raise TensorFileError(f"'{name}' is cut short")
        if end != room:
            raise TensorFileError(f"{room - end} bytes belong to no tensor")
    return tensors, metadata


def _read_header(stream: BinaryIO) -> tuple[dict[str, Any], int]:
    """Return the header, and how many bytes follow it."""
    size = os.fstat(stream.fileno()).st_size
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or not 2 <= length <= min(size - 8, _LONGEST_HEADER):
        raise TensorFileError("its header is cut short")
    try:
        header = json.loads(stream.read(length))
    except (ValueError, RecursionError):
        raise TensorFileError("its header is no JSON") from None
    if not isinstance(header, dict) or not _is_metadata(header.get(_METADATA, {})):
        raise TensorFileError("its header does not name tensors")
    return header, size - 8 - length


def _is_metadata(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _entries(
    header: Mapping[str, Any],
) -> list[tuple[str, torch.dtype, list[int], int, int]]:
    """Every tensor's name, type, shape, and where it begins and ends."""
    entries = []
    for name, entry in header.items():
        try:
            dtype, shape = _DTYPES[entry["dtype"]], list(entry["shape"])
            begin, end = entry["data_offsets"]
        except (KeyError, TypeError, ValueError):
            raise TensorFileError(f"'{name}' is not described as a tensor") from None
        if not all(type(n) is int and 0 <= n < 2**48 for n in (*shape, begin, end)):
            raise TensorFileError(f"'{name}' has an impossible size")
        entries.append((name, dtype, shape, begin, end))
    return entries


def _bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous CPU tensor."""
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().data
