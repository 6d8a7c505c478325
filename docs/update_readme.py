"""Write the results file's tables into README.md: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path

from docs.pages import filled
from tuning.workflows.results_file import results_markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results" / "faces_cpu.json"
README = ROOT / "README.md"


def updated_readme() -> str:
    """README.md as it must read with the tables of the committed results file."""
    tables = results_markdown(json.loads(RESULTS.read_text()))
    return filled(README.read_text(), "results", tables)


if __name__ == "__main__":
    README.write_text(updated_readme())
