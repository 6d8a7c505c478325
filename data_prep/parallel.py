"""Work spread over threads: Pillow and OpenCV release the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Called as `progress(stage, done, total)`.
Progress = Callable[[str, int, int], None]

_MAX_THREADS = 16
_AHEAD = 16  # items that wait for each thread


def map_threads(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    stage: str,
    progress: Progress | None,
) -> list[Result]:
    """Return `[work(item) for item in items]`; the first exception cancels what has not started."""
    threads = min(len(os.sched_getaffinity(0)), _MAX_THREADS)
    results: list[Result] = []
    # Not all at once: what waits takes memory too.
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix=stage) as pool:

        def take() -> None:
            results.append(waiting.popleft().result())
            if progress is not None:
                progress(stage, len(results), len(items))

        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads * _AHEAD:
                    take()
            while waiting:
                take()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return results
