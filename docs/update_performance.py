"""Write what benchmarks measured into docs/performance.md and docs/scaling.md: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import allocation, floors, grid_time, scaling, sharing
from benchmarks.__main__ import TABLE
from benchmarks.gpu.table import markdown, overview
from benchmarks.measuring import RESULTS, table
from docs.pages import filled
from tuning.launch.exchange import read_results

PAGE = Path(__file__).resolve().parent / "performance.md"
SCALING_PAGE = PAGE.with_name("scaling.md")
_NOT_MEASURED = "Not measured yet.\n"
_TABLES = {
    "grid_time": grid_time.table,
    "allocation": allocation.table,
    "floors": floors.table,
    "sharing": sharing.table,
}


def updated_page() -> str:
    """docs/performance.md as it must read with the committed results."""
    documents = [_read(name) for name in TABLE if _is_measured(name)]
    text = filled(PAGE.read_text(), "claims", table(documents))
    for name, lay_out in _TABLES.items():
        text = filled(text, name, lay_out(_read(name)) if _is_measured(name) else _NOT_MEASURED)
    text = filled(text, "report", _report(RESULTS / "report_on_gpu.json"))
    return filled(text, "origin", _origin(documents))


def updated_scaling_page() -> str:
    """docs/scaling.md as it must read with the committed results."""
    measured = limits = _NOT_MEASURED
    if _is_measured("scaling"):
        results = _read("scaling")
        measured = f"{scaling.table(results)}\n{_origin([results])}"
        limits = scaling.limits(results, _read("tracking_cost"))
    text = filled(SCALING_PAGE.read_text(), "scaling", measured)
    return filled(text, "limits", limits)


def _report(file: Path) -> str:
    if not file.is_file():
        return _NOT_MEASURED
    results = read_results(file)
    return markdown(results) if results.run.epoch_scale is None else overview(results)


def _origin(documents: list[dict[str, Any]]) -> str:
    """Where and when the figures were taken, a line for each command."""
    lines = []
    for one in documents:
        hardware, versions = one["hardware"], one["versions"]
        lines.append(
            f"- `{one['command']}`, {one['created'][:10]}: {hardware['processor']}, "
            f"{hardware['cores']} cores, {hardware['memory']}, GPUs: {hardware['gpus']}; Python "
            f"{versions['python']}, torch {versions['torch']}, Ray {versions['ray']}, MLflow "
            f"{versions['mlflow']}\n"
        )
    return "".join(lines)


def _is_measured(name: str) -> bool:
    return (RESULTS / f"{name}.json").is_file()


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return document


if __name__ == "__main__":
    pages = {PAGE: updated_page(), SCALING_PAGE: updated_scaling_page()}
    for path, text in pages.items():
        path.write_text(text)
