"""How well a model does on each category of pictures."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tuning.display.formatting import format_value, higher_is_better, metric_title
from tuning.display.plots._canvas import DRAWING, FAINT, INK, MUTED, as_png, new_figure

_MODEL, _CONSTANT = "#16528e", "white"


def category_chart(scores: Sequence[tuple[str, float, float]], metric: str) -> bytes:
    """Draw a line per category from the constant predictor's score to the model's.

    `scores` holds (category, model's, constant's), the first on top. A filled dot is the model's, a
    hollow one the constant predictor's; errors are on a logarithmic axis.
    """
    with DRAWING:
        figure = new_figure(4.1, 0.9 + 0.24 * len(scores))
        axes = figure.subplots()
        heights = range(len(scores), 0, -1)
        for height, (_, own, constant) in zip(heights, scores, strict=True):
            axes.plot([constant, own], [height, height], color=FAINT, linewidth=2.2, zorder=1)
        dots = {"edgecolors": _MODEL, "zorder": 2, "linewidths": 1.2}
        axes.scatter([s[2] for s in scores], heights, s=26, c=_CONSTANT, label="constant", **dots)
        axes.scatter([s[1] for s in scores], heights, s=30, c=_MODEL, label="model", **dots)
        axes.set_yticks(list(heights), [score[0] for score in scores], fontsize=8.5, color=INK)
        axes.set_ylim(0.3, len(scores) + 0.7)
        if not higher_is_better(metric):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=[1.0, 3.0], numticks=8))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.xaxis.set_major_formatter(
                FuncFormatter(lambda value, _: format_value(metric, value))
            )
        axes.set_xlabel(metric_title(metric), fontsize=8.5, color=INK)
        axes.tick_params(axis="x", which="both", labelsize=8, color=MUTED, labelcolor=INK)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(MUTED)
        axes.grid(visible=True, axis="x", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(
            *axes.get_legend_handles_labels(),
            **{"loc": "outside upper left", "ncols": 2, "fontsize": 8, "frameon": False},
        )
        return as_png(figure)
