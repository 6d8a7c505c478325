"""Arrays that are written row by row are those that numpy reads, and are never mapped."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

from data_prep.parallel import map_threads
from data_prep.row_file import RowFile, array_sha256, row_blocks


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (57, 5, 7), dtype=np.uint8)
    path = tmp_path / "L.npy"
    with closing(RowFile(path, values.shape)) as file, ThreadPoolExecutor(4) as pool:
        # Rows in any order, of arrays that are not contiguous.
        order = np.random.default_rng(1).permutation(len(values))
        list(pool.map(lambda row: file.write(int(row), values[row].T.copy().T), order))
        assert np.array_equal(file.read(31), values[31])
        assert str(path) not in Path("/proc/self/maps").read_text()
    assert np.array_equal(np.load(path), values)
    assert array_sha256(path) == hashlib.sha256(values.tobytes()).hexdigest()
    blocks = list(row_blocks(path, 10))
    assert [len(block) for block in blocks] == [10] * 5 + [7]
    assert np.array_equal(np.concatenate(blocks), values)


def test_work_that_waits_is_bounded() -> None:
    taken: list[int] = []
    done: list[int] = []

    items = list(range(2000))

    def work(item: int) -> int:
        taken.append(item)
        return item * item

    most = 0

    def progress(stage: str, finished: int, total: int) -> None:
        nonlocal most
        done.append(finished)
        most = max(most, len(taken) - finished)
        assert (stage, total) == ("square", 2000)

    assert map_threads(work, items, "square", progress) == [i * i for i in range(2000)]
    assert done == list(range(1, 2001))
    assert most < 1000
