"""Tensors of a training step, freed and taken again: counted are the pages mapped for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PAGES = """
import resource
import torch
from tuning.training.devices import keep_freed_memory

def step():
    # An activation of CNN3 at a batch of 100, and two smaller ones.
    return [torch.ones(pages * 1024) for pages in (12_800, 6_400, 3_200)]

if {keeps}:
    keep_freed_memory()
for _ in range(5):  # until the heap has the room
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(6):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="speaks to glibc")
def test_a_step_maps_no_page_anew() -> None:
    def mapped(keeps: bool) -> int:
        script = _PAGES.format(keeps=keeps)
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert mapped(keeps=True) < 0.2 * mapped(keeps=False)
