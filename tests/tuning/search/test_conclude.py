"""What a search says at its end, and how to go on."""

from __future__ import annotations

from typing import Any

import pytest

from tuning.launch.limits import TIME_IS_UP
from tuning.launch.outcomes import LaunchOutcome
from tuning.search.summary import summaries
from tuning.search.table import SearchTable
from tuning.workflows.search_conclusion import SearchConclusion


@pytest.mark.parametrize(
    ("ended_by", "best_file", "says"),
    [
        (
            "the budget of 1 CPU hours is used up",
            "best.yaml",
            "the best until then is kept; `chromatune search colorizer --extend {} "
            "--budget-…-hours N` continues",
        ),
        (TIME_IS_UP, None, "no trial has a result yet; `chromatune resume {}` continues"),
    ],
)
def test_a_budget_that_ended_it_is_told_with_what_goes_on(
    ended_by: str, best_file: str | None, says: str, script: Any
) -> None:
    search = script()
    outcome = LaunchOutcome(search.launch, [], [], is_over=False, ended_by=ended_by)
    trials = summaries(search.launch, search.study, search.objectives)
    table = SearchTable("search", search.objectives, trials, {})
    lines = SearchConclusion(outcome, table, best_file=best_file).advice
    assert lines[0] == f"{ended_by}: {says.format(search.launch.found_by)}"
    assert not any("stopped" in line for line in lines)
    assert "★" not in table.markdown()
