"""Write the results file's tables into README.md, between its two markers: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path

from tuning.results_file import results_markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results" / "faces_cpu.json"
README = ROOT / "README.md"
_BEGIN, _END = "<!-- results: begin -->", "<!-- results: end -->"


def updated_readme() -> str:
    """README.md as it must read with the tables of the committed results file."""
    before, _, rest = README.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    tables = results_markdown(json.loads(RESULTS.read_text()))
    return f"{before}{_BEGIN}\n{tables}{_END}{after}"


if __name__ == "__main__":
    README.write_text(updated_readme())
