"""Work spread over threads: Pillow and OpenCV release the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Called as `progress(stage, done, total)`.
Progress = Callable[[str, int, int], None]

_MAX_THREADS = 16


def map_threads(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    stage: str,
    progress: Progress | None,
) -> list[Result]:
    """Return `[work(item) for item in items]`; the first exception cancels what has not started."""
    threads = min(len(os.sched_getaffinity(0)), _MAX_THREADS)
    results: list[Result] = []
    with ThreadPoolExecutor(threads, thread_name_prefix=stage) as pool:
        try:
            for result in pool.map(work, items):
                results.append(result)
                if progress is not None:
                    progress(stage, len(results), len(items))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return results
