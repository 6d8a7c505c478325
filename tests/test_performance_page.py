"""docs/performance.md says what the results files hold, and the table what was measured."""

from __future__ import annotations

import pytest

from benchmarks.measuring import Claim, table
from docs import update_performance


def test_the_page_is_that_of_the_results_files() -> None:
    assert update_performance.PAGE.read_text() == update_performance.updated_page()
    scaling_page = update_performance.SCALING_PAGE.read_text()
    assert scaling_page == update_performance.updated_scaling_page()


@pytest.mark.parametrize(
    ("passes_at", "values", "verdict"),
    [
        ("least", [1.0, 3.2, 9.0], "met"),
        ("least", [1.0, 2.9, 9.0], "**missed**"),
        ("most", [1.0, 2.9, 9.0], "met"),
        ("most", [1.0, 3.2, 9.0], "**missed**"),
        ("least", [], "not measured: no GPU was there"),
    ],
)
def test_the_median_decides(passes_at: str, values: list[float], verdict: str) -> None:
    claim = {
        "name": "a ratio",
        "unit": "",
        "bar": 3.0,
        "passes_at": passes_at,
        "values": values,
        "note": "" if values else "no GPU was there",
    }
    row = table([{"claims": [claim]}]).splitlines()[-1]
    assert row.endswith(f"| {verdict} |")
    if values:
        assert f"| {sorted(values)[1]:.3g} | 1 | 9 | 3 |" in row
    assert Claim(**claim).is_met is ({"met": True, "**missed**": False}.get(verdict))
