"""The plot of docs/search.md: how far from the best configuration a search is after each epoch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.harness import RESULTS

PLOT = Path(__file__).resolve().parents[2] / "docs" / "search.svg"
SHOWN_EPOCHS = tuple(sorted({round(400 ** (step / 60)) for step in range(61)}))
_SIZE = (9.0, 3.6)  # inches
_OWN = "Chromatune"
_TICKS = (10, 20, 50, 100, 200, 400)


def save_plot(space: str) -> None:
    """Draw the best method of each library, one panel for each dataset with results."""
    paths = sorted(RESULTS.glob(f"search-*-{space}.json"))
    if not paths:
        return
    documents = [json.loads(path.read_text()) for path in paths]
    best = [_best_of_each(document["methods"]) for document in documents]
    libraries = sorted({library for found in best for library in found} - {_OWN})
    colors = {library: f"C{place}" for place, library in enumerate(libraries)}
    figure = Figure(_SIZE, layout="constrained")
    lines: dict[str, Any] = {}
    panels = figure.subplots(1, len(documents), sharey=True, squeeze=False)[0]
    for panel, document, found in zip(panels, documents, best, strict=True):
        for library, row in sorted(found.items()):
            style: dict[str, Any] = {"color": "black", "linewidth": 2.2, "zorder": 3}
            if library != _OWN:
                style = {"color": colors[library], "linewidth": 1.1}
            [lines[library]] = panel.plot(SHOWN_EPOCHS, row["median_regret"], **style)
        panel.set(title=document["dataset"], xlabel="epochs", xscale="log")
        panel.set(xlim=(_TICKS[0], _TICKS[-1]), xticks=_TICKS, xticklabels=_TICKS, ylim=(0, 2))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("dB below the best, median")
    panels[-1].legend(lines.values(), lines, fontsize="small", loc="upper right")
    # The same figures give the same file.
    with mpl.rc_context({"svg.hashsalt": "search", "svg.fonttype": "none"}):
        figure.savefig(PLOT, metadata={"Date": None})


def _best_of_each(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """The method of each library that is first at 0.25 dB; of those that never are, at 0.5 dB."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in sorted(rows, key=_medians):
        found.setdefault(re.split(r",| from", row["method"])[0], row)
    return found


def _medians(row: Mapping[str, Any]) -> list[float]:
    medians = (row[f"epochs_to_{decibels}"][1] for decibels in (0.25, 0.5))
    return [math.inf if median is None else median for median in medians]
