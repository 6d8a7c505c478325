"""How the C library hands out memory for tensors."""

from __future__ import annotations

import ctypes
import functools
import sys

# Of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 1 << 30


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
