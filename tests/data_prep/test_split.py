"""Who trains and who judges."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.split import SIDES, split_counts, split_pictures


@pytest.mark.parametrize(
    ("n", "counts"),
    [(750, (600, 75, 75)), (723, (578, 72, 73)), (720, (576, 72, 72)), (10, (8, 1, 1))],
)
def test_counts_are_the_reports(n: int, counts: tuple[int, int, int]) -> None:
    assert split_counts(n) == counts
    sides = split_pictures([f"{i:064x}" for i in range(n)], seed=0)
    assert tuple(len(sides[side]) for side in SIDES) == counts


@given(
    digests=st.lists(st.integers(0, 60), min_size=10, max_size=120),
    seed=st.integers(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_twins_never_straddle_and_every_picture_is_placed_once(
    digests: list[int], seed: int
) -> None:
    names = [f"{value:04d}" for value in digests]
    sides = split_pictures(names, seed)
    assert sorted(itertools.chain(*sides.values())) == list(range(len(names)))
    homes = [{names[i] for i in sides[side]} for side in SIDES]
    assert sum(map(len, homes)) == len(set(names))


@given(
    sizes=st.lists(st.integers(1, 4), min_size=3, max_size=8).filter(lambda s: sum(s) >= 10),
    seed=st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_totals_change_only_where_no_placement_keeps_them(sizes: list[int], seed: int) -> None:
    names = [f"{g:03d}" for g, size in enumerate(sizes) for _ in range(size)]
    wanted = split_counts(len(names))
    sides = split_pictures(names, seed)
    got = tuple(len(sides[side]) for side in SIDES)
    reachable: set[tuple[int, ...]] = set()
    for choice in itertools.product(range(3), repeat=len(sizes)):
        totals = [0, 0, 0]
        for size, side in zip(sizes, choice, strict=True):
            totals[side] += size
        reachable.add(tuple(totals))
    full = {totals for totals in reachable if min(totals) > 0} or reachable

    def off(totals: tuple[int, ...]) -> int:
        return sum(abs(n - m) for n, m in zip(totals, wanted, strict=True))

    assert off(got) == min(off(totals) for totals in full)


@given(seed=st.integers(0, 20), order=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_split_depends_on_the_seed_and_not_on_the_order(seed: int, order: object) -> None:
    names = [f"{i // 2 if i < 20 else i:04d}" for i in range(80)]
    shuffled = list(names)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = split_pictures(names, seed), split_pictures(shuffled, seed)
    for side in SIDES:
        assert [names[i] for i in first[side]] == [shuffled[i] for i in second[side]]
    assert first["test"] != split_pictures(names, seed + 1)["test"]


def test_subjects_stay_together_with_exact_totals() -> None:
    names = [f"{i:04d}" for i in range(750)]
    subjects = [f"s{i % 50}" for i in range(750)]
    sides = split_pictures(names, 0, together=subjects)
    assert [len(sides[side]) for side in SIDES] == [600, 75, 75]
    people = {side: {subjects[i] for i in sides[side]} for side in SIDES}
    assert [len(people[side]) for side in SIDES] == [40, 5, 5]
    assert set.union(*people.values()) == set(subjects)

    names[1] = names[15]  # a picture of two subjects joins them
    sides = split_pictures(names, 0, together=subjects)
    homes = [side for side in SIDES if {0, 15} & set(sides[side])]
    assert len(homes) == 1
    assert {i for i in range(750) if i % 50 in (1, 15)} <= set(sides[homes[0]])


def test_strata_are_spread_in_proportion() -> None:
    sizes = {"a": 50, "b": 35, "c": 27, "d": 10, "e": 4}
    strata = [name for name, size in sizes.items() for _ in range(size)]
    names = [f"{i:04d}" for i in range(len(strata))]
    sides = split_pictures(names, 3, strata=strata)
    assert tuple(len(sides[side]) for side in SIDES) == split_counts(len(names))
    for side, part in zip(SIDES, (0.8, 0.1, 0.1), strict=True):
        found = Counter(strata[i] for i in sides[side])
        for name, size in sizes.items():
            assert abs(found[name] - part * size) <= 1.5, (side, name)


def test_very_many_large_groups_are_placed_near_the_totals() -> None:
    names = [f"{i // 40:06d}" for i in range(40_000)]
    sides = split_pictures(names, 0)
    for side, wanted in zip(SIDES, (32_000, 4_000, 4_000), strict=True):
        assert abs(len(sides[side]) - wanted) <= 40


def test_many_groups_are_split_in_time_that_grows_with_their_number() -> None:
    """Twenty thousand persons of five pictures each; a minute and more where time is squared."""
    count = 100_000
    digests = [f"{i:064x}" for i in range(count)]
    started = time.process_time()
    sides = split_pictures(digests, 0, together=[i // 5 for i in range(count)])
    assert time.process_time() - started < 20
    assert {side: len(found) for side, found in sides.items()} == {
        **{"train": 80_000, "val": 10_000, "test": 10_000}
    }
    for found in sides.values():
        assert {n // 5 * 5 + k for n in found for k in range(5)} == set(found)
