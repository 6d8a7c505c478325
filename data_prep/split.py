"""The split into train, val and test."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
import numpy.typing as npt

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, Side, Side] = ("train", "val", "test")

# Cells of the exact placement tables; groups are placed one by one until the rest fits.
_MAX_CELLS = 20_000_000


@dataclass(frozen=True)
class _Group:
    """Indices of pictures that must stay on one side, and their place in the order."""

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
    neither the pictures' names nor on any library's random numbers. The sizes equal `split_counts`
    if the groups allow it; otherwise they are as near as possible.
    """
    ordered = _spread(_groups(digests, seed, strata, together))
    capacity = dict(zip(SIDES, split_counts(len(digests)), strict=True))
    cuts = list(accumulate(capacity.values()))[:2]
    ends = accumulate(len(group.members) for group in ordered)
    # The side on which each group's middle lies when the order is cut at the counts.
    wanted = {
        group: SIDES[bisect_right(cuts, end - len(group.members) / 2)]
        for end, group in zip(ends, ordered, strict=True)
    }
    large = [group for group in ordered if len(group.members) > 1]
    singles = [group for group in ordered if len(group.members) == 1]
    sizes = [len(group.members) for group in large]
    placed = _place([wanted[group] for group in large], sizes, capacity, len(singles))
    for side, size in zip(placed, sizes, strict=True):
        capacity[side] -= size
    fill = _fill(capacity["val"], capacity["test"], "val" not in placed, len(singles))
    to_val, to_test = (int(count) for count in fill)
    to_train = len(singles) - to_val - to_test
    side_of: dict[_Group, Side] = dict(zip(large, placed, strict=True))
    for number, group in enumerate(singles):
        side_of[group] = SIDES[(number >= to_train) + (number >= to_train + to_val)]
    sides: dict[Side, list[int]] = {side: [] for side in SIDES}
    for group in sorted(ordered, key=lambda group: group.rank):
        sides[side_of[group]].extend(group.members)
    return sides


def given_order(digests: Sequence[str], seed: int, sides: Sequence[Side]) -> dict[Side, list[int]]:
    """Return the indices on each given side, in the order that `split_pictures` gives them."""
    ranks = [_rank(seed, digest) for digest in digests]
    ordered = sorted(range(len(digests)), key=lambda i: (ranks[i], i))
    return {side: [i for i in ordered if sides[i] == side] for side in SIDES}


def _rank(seed: int, digest: str) -> str:
    return hashlib.sha256(f"{seed}:{digest}".encode()).hexdigest()


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
        groups.append(_Group(tuple(indices), stratum, _rank(seed, digests[indices[0]])))
    return sorted(groups, key=lambda group: group.rank)


def _spread(groups: list[_Group]) -> list[_Group]:
    """Order the groups so that any stretch holds every stratum in proportion."""
    totals: Counter[str] = Counter()
    for group in groups:
        totals[group.stratum] += len(group.members)
    before: Counter[str] = Counter()
    places = {}
    for group in groups:
        middle = before[group.stratum] + len(group.members) / 2
        places[group] = (middle / totals[group.stratum], group.rank)
        before[group.stratum] += len(group.members)
    return sorted(groups, key=places.__getitem__)


def _place(
    wanted: list[Side], sizes: list[int], capacity: dict[Side, int], singles: int
) -> list[Side]:
    """Place the groups of several pictures, on the wanted side if that leaves totals exact.

    Single pictures fill the sides afterwards, so a placement is exact as long as no side
    overflows. `costs[i][t, v]` is the least overflow reachable when the groups before `i` have put
    `t` pictures in train and `v` in val.
    """
    placed: list[Side] = []
    room = dict(capacity)
    left = sum(sizes)
    largest = list(accumulate(reversed(sizes), max))[::-1]  # of those from here on
    while len(placed) < len(sizes):
        height, width = _shape(left, largest[len(placed)], room)
        if height * width * (len(sizes) - len(placed) + 1) <= _MAX_CELLS:
            break
        size, side = sizes[len(placed)], wanted[len(placed)]
        left -= size
        if room[side] < size:
            side = max(SIDES, key=lambda name: room[name])
        room[side] -= size
        placed.append(side)
    rest = sizes[len(placed) :]
    before = {side: capacity[side] - room[side] for side in SIDES}
    costs = _overflow_costs(rest, room, before, singles)
    t = v = 0
    for size, side, after in zip(rest, wanted[len(placed) :], costs[1:], strict=True):
        options = {"train": (t + size, v), "val": (t, v + size), "test": (t, v)}
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

    They are served first, so that neither stays empty if the groups are too coarse to be exact.
    """
    spare = np.maximum(singles - np.asarray(val_empty, dtype=np.int64), 0)
    to_test = np.clip(np.asarray(test_room, dtype=np.int64), 0, spare)
    to_val = np.clip(np.asarray(val_room, dtype=np.int64), 0, singles - to_test)
    return to_val, to_test


def _shape(total: int, largest: int, room: dict[Side, int]) -> tuple[int, int]:
    """Return the shape of the cost tables: the totals of train and val that may be reached."""
    height, width = (min(total, max(room[side], 0) + largest) + 1 for side in ("train", "val"))
    return height, width


def _overflow_costs(
    sizes: list[int], room: dict[Side, int], before: dict[Side, int], singles: int
) -> list[npt.NDArray[np.int64]]:
    """Return `costs` of `_place`; a side that ends up empty costs more than any overflow."""
    height, width = _shape(sum(sizes), max(sizes, default=0), room)
    t, v = np.ogrid[:height, :width]
    s = sum(sizes) - t - v
    to_val, to_test = _fill(room["val"] - v, room["test"] - s, before["val"] + v == 0, singles)
    to_train = singles - to_test - to_val
    everything = sum(sizes) + sum(before.values()) + singles
    over = np.zeros((height, width), np.int64)
    for side, placed, filled in zip(SIDES, (t, v, s), (to_train, to_val, to_test), strict=True):
        over += np.maximum(placed - room[side], 0)
        over += everything * (before[side] + placed + filled == 0)
    costs = [np.where(s < 0, np.iinfo(np.int64).max, over)]
    for size in reversed(sizes):
        after = costs[-1]
        best = after.copy()
        if size < height:
            best[:-size] = np.minimum(best[:-size], after[size:])
        if size < width:
            best[:, :-size] = np.minimum(best[:, :-size], after[:, size:])
        costs.append(best)
    return costs[::-1]
