"""How much of what a search found is due to each parameter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tuning.display.plots._canvas import DRAWING, INK, MUTED, new_figure, write_png
from tuning.display.plots._trials import SEARCHED, dress, nothing, title


def search_importances(heading: str, importances: Mapping[str, float], path: str | Path) -> None:
    """Draw each parameter's share of the differences, the largest on top; shares sum to 1."""
    ordered = sorted(importances.items(), key=lambda item: item[1])
    with DRAWING:
        figure = new_figure(7.2, 1.4 + 0.3 * max(3, len(ordered)))
        title(figure, heading)
        axes = figure.subplots()
        if not ordered:
            nothing(axes, "too few finished trials to tell")
        else:
            names, shares = zip(*ordered, strict=True)
            dress(axes)
            axes.grid(visible=False, axis="y")
            axes.barh(names, shares, color=SEARCHED, height=0.62)
            for row, share in enumerate(shares):
                axes.text(share, row, f" {share:.2f}", va="center", fontsize=8.5, color=INK)
            axes.set_xlim(0, max(shares) * 1.12 or 1)
            axes.set_xlabel("share of the differences (PED-ANOVA)", fontsize=9, color=MUTED)
        write_png(figure, path)
