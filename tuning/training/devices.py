"""Where a model is trained or measured, how exactly, and in which memory."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from tuning.errors import ChromatuneError

# Of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 1 << 30


def pick_device(wanted: str) -> str:
    """Turn `auto` into `cuda` where there is one, else `cpu`; ChromatuneError if it is missing."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ChromatuneError("--device cuda: torch finds no GPU here; use --device cpu")
    return wanted


def holds_split(device: torch.device, size: int) -> bool:
    """Whether a split of `size` bytes may stay on the device for a whole training.

    By default four trials share a GPU: their data take at most half of its memory.
    """
    if device.type != "cuda":
        return True
    return size <= torch.cuda.get_device_properties(device).total_memory // 8


def bfloat16_unit(described_in: Path = Path("/proc/cpuinfo")) -> str | None:
    """Name the instructions with which this CPU computes in bfloat16; None if it has none."""
    try:
        flags = set(described_in.read_text("utf-8").split())
    except OSError:  # not Linux
        return None
    units = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}
    return next((unit for flag, unit in units.items() if flag in flags), None)


@contextmanager
def tf32_if(allowed: bool) -> Iterator[None]:
    """Let a GPU round what it multiplies to TF32's ten bits, or make sure that it does not.

    By default torch lets cuDNN do so in convolutions, which the original paper did not. Sums
    stay float32, and a CPU knows nothing of it.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@functools.cache
def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors for the next ones.

    By default glibc gives blocks of more than 32 MiB back to the system at once, and others when
    they lie at the end of the heap. A training step frees and takes the same activations again, and
    every page of theirs would be mapped and cleared anew: up to half of a step of CNN2 or CNN3 on
    a CPU. Where there is no glibc, nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST)
