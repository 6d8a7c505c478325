"""Back-pressure: a bounded number of pictures at once, the rest are told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class FullError(Exception):
    """As many pictures are held as are allowed."""


class Queue:
    """At most `places` requests are held, from the first byte of their upload to their answer.

    `workers` of them are worked on at a time, first come, first served. Belongs to one event loop.
    """

    def __init__(self, places: int, workers: int) -> None:
        self._places = places
        self._workers = asyncio.Semaphore(workers)
        self.held = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place; FullError at once if there is none."""
        if self.held >= self._places:
            raise FullError
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """Wait for a worker, and hold it."""
        async with self._workers:
            yield
