"""Colorize files: decode in threads, predict in batches, write in threads."""

from __future__ import annotations

import dataclasses
import functools
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from data_prep import rgb_to_lab
from data_prep.decode import UnusableError, decode_rgb, is_grayscale
from data_prep.sources import FolderSource
from tuning.display.pictures import picture_grid, write_png
from tuning.errors import ChromatuneError
from tuning.inference.colorizer import Colorizer, Prediction, gray_picture, paint
from tuning.inference.inputs import Job
from tuning.inference.scores import compare

Bytes = npt.NDArray[np.uint8]
Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCH = 32
# Large pictures come in smaller batches: about 2 GB of them are held at once.
_BATCH_PIXELS = 60_000_000
_MAX_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Colorized:
    """A picture that was written. Means are in [0, 1]; `scores` is empty without an original.

    `mean_ab` is the regressor's if there is one, `own_mean_ab` that of the written colours.
    """

    job: Job
    width: int
    height: int
    mean_ab: tuple[float, float]
    own_mean_ab: tuple[float, float]
    scores: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Failed:
    """A picture that could not be colorized, and why."""

    job: Job
    reason: str


@dataclasses.dataclass(frozen=True)
class _Decoded:
    job: Job
    L: Bytes
    original: Bytes | None  # RGB, only for the comparison


def colorize_files(
    jobs: Sequence[Job], colorizer: Colorizer, *, caption: str, evaluate: bool = False
) -> Iterator[Colorized | Failed]:
    """Colorize pictures and yield each result in the order of `jobs`, as soon as it is written.

    An unreadable file is yielded as Failed. With `evaluate`, results are compared with the colours
    of pictures that have some. Every file appears whole or not at all. Raises ChromatuneError if a
    result cannot be written, or the model predicts NaN.
    """
    threads = min(len(os.sched_getaffinity(0)), _MAX_THREADS)

    decode = functools.partial(_decode, keep=evaluate)
    finish = functools.partial(_finish, caption=caption)
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, "colorize") as pool:
        # A damaged picture is reported with its reason; Pillow's warnings are noise.
        warnings.filterwarnings("ignore", module="PIL")
        try:
            for batch in _batches(_ahead(pool, decode, jobs, threads)):
                decoded = [item for item in batch if isinstance(item, _Decoded)]
                predictions = colorizer.predict([item.L for item in decoded])
                finished = pool.map(finish, decoded, predictions)
                for item in batch:
                    yield item if isinstance(item, Failed) else next(finished)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Yield `work(item)` in order, with at most `ahead` items started in advance."""
    started: deque[Future[Result]] = deque()
    for item in items:
        started.append(pool.submit(work, item))
        if len(started) > ahead:
            yield started.popleft().result()
    while started:
        yield started.popleft().result()


def _batches(items: Iterable[_Decoded | Failed]) -> Iterator[list[_Decoded | Failed]]:
    batch: list[_Decoded | Failed] = []
    pixels = 0
    for item in items:
        batch.append(item)
        pixels += item.L.size if isinstance(item, _Decoded) else 0
        if len(batch) == _BATCH or pixels >= _BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _decode(job: Job, *, keep: bool) -> _Decoded | Failed:
    try:
        rgb, _ = decode_rgb(FolderSource(job.source.parent).read(job.source.name))
    except UnusableError as reason:
        return Failed(job, str(reason))
    L = np.ascontiguousarray(rgb_to_lab(rgb)[..., 0])
    return _Decoded(job, L, rgb if keep and not is_grayscale(rgb) else None)


def _finish(decoded: _Decoded, prediction: Prediction, *, caption: str) -> Colorized:
    job, L, original = decoded.job, decoded.L, decoded.original
    rgb = paint(L, prediction.ab)
    height, width = L.shape
    columns = {"grayscale": gray_picture(L), "colorized": rgb}
    if original is not None:
        columns["original"] = original
    _write(rgb, job.picture)
    footer = f"{Path(job.name).name} · {caption}"
    sheet = picture_grid([list(columns.values())], list(columns), footer=footer, smallest=160)
    _write(sheet, job.sheet)
    return Colorized(
        job=job,
        width=width,
        height=height,
        mean_ab=prediction.mean_ab,
        own_mean_ab=prediction.own_mean_ab,
        scores={} if original is None else compare(rgb, prediction.ab, original),
    )


def _write(picture: Bytes, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(picture, path, fast=True)
    except OSError as error:
        raise ChromatuneError(f"cannot write {path}: {error.strerror or error}") from None
