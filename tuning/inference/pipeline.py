"""Colorize files, several at a time."""

from __future__ import annotations

import dataclasses
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.color import is_grayscale, rgb_to_lab
from data_prep.decode import Decoded, UnusableError, decode_rgb
from data_prep.sources import FolderSource
from tuning.display.pictures import picture_grid, write_png
from tuning.errors import ChromatuneError
from tuning.inference.image_metrics import compare
from tuning.inference.inputs import Job
from tuning.inference.predict import Colorizer, Prediction, gray_picture, paint

Bytes = npt.NDArray[np.uint8]

_MAX_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Colorized:
    """A picture that was written. Means are in [0, 1]; `scores` is empty without an original.

    `mean_ab` is the regressor's if there is one, `own_mean_ab` that of the written colours; `notes`
    say what was assumed in reading the file.
    """

    job: Job
    width: int
    height: int
    mean_ab: tuple[float, float]
    own_mean_ab: tuple[float, float]
    scores: Mapping[str, float]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Failed:
    """A picture that could not be colorized, and why."""

    job: Job
    reason: str


def colorize_files(
    jobs: Sequence[Job], colorizer: Colorizer, *, caption: str, evaluate: bool = False
) -> Iterator[Colorized | Failed]:
    """Colorize pictures and yield each result in the order of `jobs`, as soon as it is written.

    An unreadable file is yielded as Failed. With `evaluate`, results are compared with the colours
    of pictures that have some. Every file appears whole or not at all. Raises ChromatuneError if a
    result cannot be written, or the model predicts NaN.
    """
    threads = min(len(os.sched_getaffinity(0)), _MAX_THREADS)
    network = threading.Lock()

    def colorize(job: Job) -> Colorized | Failed:
        try:
            picture = decode_rgb(FolderSource(job.source.parent).read(job.source.name))
        except UnusableError as reason:
            return Failed(job, str(reason))
        L = np.ascontiguousarray(rgb_to_lab(picture.rgb)[..., 0])
        # PyTorch itself uses every core.
        with network:
            prediction = colorizer.predict(L)
        return _finish(job, L, picture, prediction, caption, evaluate=evaluate)

    with warnings.catch_warnings(), ThreadPoolExecutor(threads, "colorize") as pool:
        # A damaged picture is reported with its reason; Pillow's warnings are noise.
        warnings.filterwarnings("ignore", module="PIL")
        try:
            yield from pool.map(colorize, jobs)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finish(
    job: Job, L: Bytes, picture: Decoded, prediction: Prediction, caption: str, *, evaluate: bool
) -> Colorized:
    original = picture.rgb if evaluate and not is_grayscale(picture.rgb) else None
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
        notes=picture.notes,
    )


def _write(picture: Bytes, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(picture, path)
    except OSError as error:
        raise ChromatuneError(f"cannot write {path}: {error.strerror or error}") from None
