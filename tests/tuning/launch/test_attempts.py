"""What is said of a traceback."""

from __future__ import annotations

import traceback

import pytest

from tuning.errors import ChromatuneError
from tuning.launch.attempts import DIED, failure_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("out of memory"), "RuntimeError: out of memory"),
        (RuntimeError("CUDA error\nFor debugging, wait\n  and see"), "RuntimeError: CUDA error"),
        (RuntimeError("in state_dict:\n\tsize"), "RuntimeError: in state_dict: size"),
        (ChromatuneError("the pictures are gone"), "the pictures are gone"),
        (ValueError(), "ValueError"),
    ],
)
def test_the_error_of_a_traceback_is_its_first_line(error: Exception, line: str) -> None:
    try:
        raise error
    except Exception:
        assert failure_line(traceback.format_exc()) == line


def test_without_frames_it_is_the_last_line() -> None:
    assert failure_line("The worker is gone.\nIts node has failed.\n") == "Its node has failed."
    assert failure_line(" \n") == DIED
