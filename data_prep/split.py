"""Which pictures train, which choose the model (val), and which judge it once (test)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
import numpy.typing as npt

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, Side, Side] = ("train", "val", "test")

# Cells of the exact placement table; beyond it, groups are placed one by one until the rest fits.
_MAX_CELLS = 20_000_000


@dataclass(frozen=True)
class _Group:
    """Pictures that must stay on one side, by their indices, and their place in the order."""

    members: tuple[int, ...]
    stratum: str
    rank: str


def split_counts(n: int) -> tuple[int, int, int]:
    """Return the sizes of train, val and test: 80 % rounded down, the rest halved."""
    train = n * 4 // 5
    val = (n - train) // 2
    return train, val, n - train - val


def split_pictures(
    digests: Sequence[str],
    seed: int,
    *,
    strata: Sequence[str] | None = None,
    together: Sequence[Hashable] | None = None,
) -> dict[Side, list[int]]:
    """Return the indices of each side, in the order of the prepared arrays.

    Pictures of equal digest, or equal value in `together`, stay on one side. `strata` are spread
    over the sides in proportion. The order is by hashes of the seed and the digests: it depends on
    neither the pictures' names nor on any library's random numbers, and equals `split_counts`
    wherever the groups allow it; otherwise it is as near as they allow.
    """
    n = len(digests)
    ordered = _spread(_groups(digests, seed, strata, together))
    wanted = _wanted_sides(ordered, split_counts(n))
    sides: dict[Side, list[int]] = {side: [] for side in SIDES}
    capacity = dict(zip(SIDES, split_counts(n), strict=True))

    large = [i for i, group in enumerate(ordered) if len(group.members) > 1]
    sizes = [len(ordered[i].members) for i in large]
    placed = _place([wanted[i] for i in large], sizes, capacity, n)
    side_of: dict[int, Side] = dict(zip(large, placed, strict=True))
    for i in large:
        capacity[side_of[i]] -= len(ordered[i].members)
    singles = [i for i, group in enumerate(ordered) if len(group.members) == 1]
    val_empty = "val" not in placed
    to_val, to_test = (
        int(count) for count in _fill(capacity["val"], capacity["test"], val_empty, len(singles))
    )
    to_train = len(singles) - to_val - to_test
    filling: list[Side] = []
    for side, count in zip(SIDES, (to_train, to_val, to_test), strict=True):
        filling += [side] * count
    side_of.update(zip(singles, filling, strict=True))
    for i in sorted(range(len(ordered)), key=lambda i: ordered[i].rank):
        sides[side_of[i]].extend(ordered[i].members)
    return sides


def _groups(
    digests: Sequence[str],
    seed: int,
    strata: Sequence[str] | None,
    together: Sequence[Hashable] | None,
) -> list[_Group]:
    parent = list(range(len(digests)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for keys in (digests, together or []):
        first: dict[Hashable, int] = {}
        for i, key in enumerate(keys):
            parent[root(i)] = root(first.setdefault(key, i))
    members: dict[int, list[int]] = defaultdict(list)
    for i in range(len(digests)):
        members[root(i)].append(i)
    groups = []
    for indices in members.values():
        indices.sort(key=lambda i: (digests[i], i))
        stratum = min(strata[i] for i in indices) if strata else ""
        rank = hashlib.sha256(f"{seed}:{digests[indices[0]]}".encode()).hexdigest()
        groups.append(_Group(tuple(indices), stratum, rank))
    return sorted(groups, key=lambda group: group.rank)


def _spread(groups: list[_Group]) -> list[_Group]:
    """Order the groups so that any stretch holds every stratum in proportion."""
    by_stratum: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        by_stratum[group.stratum].append(group)
    placed: list[tuple[float, str, _Group]] = []
    for stratum in by_stratum.values():
        total = sum(len(group.members) for group in stratum)
        ends = accumulate(len(group.members) for group in stratum)
        for end, group in zip(ends, stratum, strict=True):
            placed.append(((end - len(group.members) / 2) / total, group.rank, group))
    return [group for _, _, group in sorted(placed, key=lambda item: item[:2])]


def _wanted_sides(ordered: list[_Group], counts: tuple[int, int, int]) -> list[Side]:
    """Return the side on which each group's middle lies when the order is cut at the counts."""
    sides: list[Side] = []
    before = 0
    for group in ordered:
        middle = before + len(group.members) / 2
        before += len(group.members)
        in_train, in_val = middle < counts[0], middle < counts[0] + counts[1]
        sides.append("train" if in_train else "val" if in_val else "test")
    return sides


def _place(wanted: list[Side], sizes: list[int], capacity: dict[Side, int], n: int) -> list[Side]:
    """Place the groups of several pictures, on the wanted side where that leaves totals exact.

    Single pictures fill the sides up afterwards, so a placement is exact as long as no side
    overflows. `cost[i][t, v]` is the least overflow reachable when groups before `i` have put `t`
    pictures in train and `v` in val.
    """
    placed: list[Side] = []
    room = dict(capacity)
    while len(placed) < len(sizes) and _cells(sizes[len(placed) :], room) > _MAX_CELLS:
        side = wanted[len(placed)]
        if room[side] < sizes[len(placed)]:
            side = max(SIDES, key=lambda name: room[name])
        room[side] -= sizes[len(placed)]
        placed.append(side)
    rest = sizes[len(placed) :]
    before = {side: capacity[side] - room[side] for side in SIDES}
    costs = _overflow_costs(rest, room, before, singles=n - sum(sizes))
    t = v = 0
    for size, side, after in zip(rest, wanted[len(placed) :], costs[1:], strict=True):
        options: dict[Side, tuple[int, int]] = {
            "train": (t + size, v),
            "val": (t, v + size),
            "test": (t, v),
        }
        reachable = {
            name: int(after[state])
            for name, state in options.items()
            if state[0] < after.shape[0] and state[1] < after.shape[1]
        }
        least = min(reachable.values())
        choice = next(name for name in (side, *SIDES) if reachable.get(name) == least)
        t, v = options[choice]
        placed.append(choice)
    return placed


def _fill(
    val_room: npt.ArrayLike, test_room: npt.ArrayLike, val_empty: npt.ArrayLike, singles: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many single pictures go to val and to test; train has the rest.

    They are served first, so that neither stays empty where the groups are too coarse to be exact.
    """
    spare = np.maximum(singles - np.asarray(val_empty, dtype=np.int64), 0)
    to_test = np.clip(np.asarray(test_room, dtype=np.int64), 0, spare)
    to_val = np.clip(np.asarray(val_room, dtype=np.int64), 0, singles - to_test)
    return to_val, to_test


def _bounds(sizes: list[int], room: dict[Side, int]) -> tuple[int, int]:
    total, largest = sum(sizes), max(sizes, default=0)
    return (
        min(total, max(room["train"], 0) + largest) + 1,
        min(total, max(room["val"], 0) + largest) + 1,
    )


def _cells(sizes: list[int], room: dict[Side, int]) -> int:
    height, width = _bounds(sizes, room)
    return height * width * (len(sizes) + 1)


def _overflow_costs(
    sizes: list[int], room: dict[Side, int], before: dict[Side, int], singles: int
) -> list[npt.NDArray[np.int64]]:
    """Return `cost` of `_place`; a side that ends up empty costs more than any overflow."""
    height, width = _bounds(sizes, room)
    t = np.arange(height)[:, None]
    v = np.arange(width)[None, :]
    s = sum(sizes) - t - v
    over = (
        np.maximum(t - room["train"], 0)
        + np.maximum(v - room["val"], 0)
        + np.maximum(s - room["test"], 0)
    )
    to_val, to_test = _fill(room["val"] - v, room["test"] - s, before["val"] + v == 0, singles)
    everything = sum(sizes) + sum(before.values()) + singles
    for total in (
        before["train"] + t + singles - to_test - to_val,
        before["val"] + v + to_val,
        before["test"] + s + to_test,
    ):
        over = over + everything * (total == 0)
    last = np.where(s < 0, np.iinfo(np.int64).max, over)
    costs = [last]
    for size in reversed(sizes):
        after = costs[-1]
        best = after.copy()
        if size < height:
            best[:-size] = np.minimum(best[:-size], after[size:])
        if size < width:
            best[:, :-size] = np.minimum(best[:, :-size], after[:, size:])
        costs.append(best)
    return costs[::-1]
