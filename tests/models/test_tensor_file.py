"""The plain reader and writer of .safetensors files, against the format's own library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file as load_with_library
from safetensors.torch import save_file as save_with_library

from models.tensor_file import TensorFileError, load_file, save_file

KINDS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32)
KINDS += (torch.int16, torch.int8, torch.uint8, torch.bool)


def tensors() -> dict[str, torch.Tensor]:
    some = {str(kind): torch.arange(-3, 9).reshape(3, 4).to(kind) for kind in KINDS}
    return some | {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "ä": torch.ones(1)}


def test_what_either_writes_the_other_reads(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    save_file(tensors(), ours, {"key": '{"a": "ü"}'})
    save_with_library(tensors(), theirs, {"key": '{"a": "ü"}'})
    for read in (load_with_library(ours), load_file(theirs)[0], load_file(ours)[0]):
        assert read.keys() == tensors().keys()
        for name, tensor in tensors().items():
            assert read[name].dtype == tensor.dtype
            assert torch.equal(read[name], tensor)
    assert load_file(ours)[1] == load_file(theirs)[1] == {"key": '{"a": "ü"}'}


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    network = {"w": torch.rand(2, 3), "b": torch.rand(3), "steps": torch.tensor(4)}
    save_file(network, tmp_path / "ours", {"one": "entry"})
    save_with_library(network, tmp_path / "theirs", {"one": "entry"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def written(path: Path, header: object, data: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "length", "problem"),
    [
        ({"w": ENTRY}, 7, "'w' does not take"),
        ({"w": ENTRY}, 9, "1 bytes belong to no tensor"),
        ({"w": ENTRY | {"shape": [3]}}, 8, "'w' does not take"),
        ({"w": ENTRY | {"shape": [-2]}}, 8, "impossible size"),
        ({"w": ENTRY | {"shape": [True, 2]}}, 8, "impossible size"),
        ({"w": ENTRY | {"shape": [0, 2**60]}}, 8, "impossible size"),
        ({"w": ENTRY | {"data_offsets": [0]}}, 8, "not described as a tensor"),
        ({"w": ENTRY | {"dtype": "F99"}}, 8, "not described as a tensor"),
        ({"w": ENTRY | {"dtype": []}}, 8, "not described as a tensor"),
        ({"w": ENTRY, "v": ENTRY}, 8, "does not take"),
        ({"w": ENTRY | {"data_offsets": [4, 12]}}, 12, "does not take"),
        ({"w": 1}, 8, "not described as a tensor"),
        ({"__metadata__": {"x": 1}}, 0, "does not name tensors"),
        ([], 0, "does not name tensors"),
    ],
)
def test_a_header_that_lies_is_refused(
    tmp_path: Path, header: object, length: int, problem: str
) -> None:
    with pytest.raises(TensorFileError, match=problem):
        load_file(written(tmp_path / "file", header, b"\0" * length))


@pytest.mark.parametrize("data", [b"", b"\3", b"\xff" * 8, b"\xff" * 8 + b"{}", b"\2" + b"\0" * 7])
def test_what_has_no_header_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(TensorFileError, match="header is cut short"):
        load_file(tmp_path / "file")
