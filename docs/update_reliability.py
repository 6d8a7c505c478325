"""Write what the long tests have measured into docs/reliability.md: `make docs`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.pages import filled

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "docs" / "results"
# Each file of figures has a place of its own on the page.
SECTIONS = ("soak", "cluster", "security")


def updated_page() -> str:
    """docs/reliability.md as it must read with the committed results files."""
    text = PAGE.read_text()
    for name in SECTIONS:
        file = RESULTS / f"{name}.json"
        content = section(json.loads(file.read_text())) if file.is_file() else ""
        text = filled(text, name, content)
    return text


def section(document: Any) -> str:
    """A table of promises; `document` is a list of them, or holds one and where it was measured."""
    if isinstance(document, list):
        return _table(document)
    hardware = document["hardware"]
    where = (
        f"Measured on {document['measured']} by tests of `{document['command']}` that took "
        f"{document['minutes']} minutes on {hardware['cores']} cores ({hardware['processor']}), "
        f"Ray {document['versions']['ray']}, MLflow {document['versions']['mlflow']}."
    )
    return f"{where}\n\n{_table(document['promises'])}"


def _table(promises: Sequence[Mapping[str, Any]]) -> str:
    rows = ["| promise | figures | test |", "|---|---|---|"]
    for one in promises:
        figures = ", ".join(f"{name}: {number:,}" for name, number in one["figures"].items())
        rows.append(f"| {one['promise']} | {figures} | `{one['test']}` |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(updated_page())
