"""The notebook of the documentation, run as a user would run it."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chromatune import ROOT

NOTEBOOK = Path(ROOT) / "docs/quickstart.ipynb"
LARGEST = 200_000  # bytes, outputs included


def outputs(notebook: dict[str, Any], word: str) -> list[dict[str, Any]]:
    """What the cell displays whose code has this word."""
    (cell,) = (c for c in notebook["cells"] if c["cell_type"] == "code" and word in c["source"])
    return [output["data"] for output in cell["outputs"] if "data" in output]


def bars(shown: list[dict[str, Any]]) -> list[str]:
    return [data["text/html"] for data in shown if "<progress" in data.get("text/html", "")]


def check(notebook: dict[str, Any]) -> None:
    """The outputs show what the text says."""
    shown = outputs(notebook, "chromatune.search(")
    (bar,) = bars(shown)  # updated in place
    assert "100 %" in bar
    assert "5 trials" in bar
    (bar,) = bars(outputs(notebook, "chromatune.prepare("))
    assert 'value="240" max="240"' in bar
    assert "search on my-pictures, finished" in shown[-1]["text/html"]
    assert "val_psnr" in outputs(notebook, "to_frame")[-1]["text/html"]
    assert "image/png" in outputs(notebook, "launch.plot()")[0]
    promoted = outputs(notebook, "chromatune.promote(")[-1]["text/plain"]
    assert promoted == "<Model my-pictures-colorizer version 1, champion>"
    png = outputs(notebook, "load_model")[-1]["image/png"]
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        gray, colored, true = np.split(np.asarray(image, np.float64), 3, axis=1)
    assert np.square(colored - true).mean() < 0.7 * np.square(gray - true).mean()


def test_the_committed_outputs_are_small_and_of_no_machine() -> None:
    text = NOTEBOOK.read_text()
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        for output in cell.get("outputs", ()):
            assert output["output_type"] != "error"
            for kind, lines in output.get("data", {}).items():
                output["data"][kind] = "".join(lines)
    check(notebook)
    assert len(text) < LARGEST
    assert set(re.findall(r"/(\w+)/[\w/]*ray_results", text)) == {"tmp"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs(tmp_path: Path) -> None:
    client = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=300, resources=resources).execute()
    check(notebook)
