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
    documents = measured()
    for name in SECTIONS:
        text = filled(text, name, section(documents[name]) if name in documents else "")
    return filled(text, "durations", durations(documents))


def measured() -> dict[str, Any]:
    """What there is of results files, by section."""
    files = {name: RESULTS / f"{name}.json" for name in SECTIONS}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.is_file()}


def durations(documents: Mapping[str, Any]) -> str:
    """How long each command took where its figures were measured."""
    sentences = [
        f"`{one['command']}` took {one['minutes']} minutes on {one['hardware']['cores']} cores."
        for one in documents.values()
        if "minutes" in one
    ]
    return "\n".join(sentences) + "\n" if sentences else ""


def section(document: Any) -> str:
    """A table of promises; `document` is a list of them, or holds one and where it was measured."""
    if isinstance(document, list):
        return _table(document)
    hardware = document["hardware"]
    where = (
        f"Measured on {document['measured']} with `{document['command']}` on {hardware['cores']} "
        f"cores ({hardware['processor']}), Ray {document['versions']['ray']}, "
        f"MLflow {document['versions']['mlflow']}."
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
