"""What the pictures of a search share: its trials, and how they are marked and scaled."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tuning.display.formatting import format_value
from tuning.display.plots._canvas import FAINT, INK, MUTED

SEARCHED, BEST, OTHER = "#16528e", "#e8842c", "#9aa5b1"
# Shapes differ too, so that nothing is told by colour alone.
_MARKERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "finished": ("o", {"color": SEARCHED}),
    "pruned": ("o", {"color": SEARCHED, "markerfacecolor": "white"}),
    "stopped": ("D", {"color": SEARCHED, "markerfacecolor": "white"}),
    "known": ("s", {"color": OTHER}),
}
_WORDS = {"known": "known before", "pruned": "cut short"}
# As in a grid's heatmap: what is worse by more shares the edge, or it would flatten the rest.
_WORSE_DB, _WORSE_FACTOR = 6, 4


@dataclasses.dataclass(frozen=True)
class PlottedTrial:
    """One trial: `value` is NaN if it left none; `curve` maps epochs to values."""

    number: int
    outcome: str
    value: float
    params: Mapping[str, Any]
    curve: Mapping[int, float] = dataclasses.field(default_factory=dict)
    other_values: Sequence[float] = ()


@dataclasses.dataclass(frozen=True)
class Scale:
    """The axis of a figure: its ends, whether it is logarithmic, and which way is better."""

    metric: str
    low: float
    high: float
    maximize: bool

    @property
    def is_log(self) -> bool:
        return _is_log(self.metric)

    @property
    def ends(self) -> tuple[float, float]:
        """The ends with some room, so that no mark is cut."""
        if self.is_log:
            room = (self.high / self.low) ** 0.06 if self.high > self.low else 1.1
            return self.low / room, self.high * room
        room = 0.06 * (self.high - self.low) or max(abs(self.high), 1e-6) * 0.01
        return self.low - room, self.high + room

    def clipped(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def is_beyond(self, value: float) -> bool:
        """Whether the value is drawn at the edge instead of where it is."""
        return not self.low <= value <= self.high

    def share(self, value: float) -> float:
        """Where a value lies between the worst (0) and the best (1)."""
        low, high, value = self.low, self.high, self.clipped(value)
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if high > low else 1.0
        return share if self.maximize else 1 - share

    def dress(self, axis: Any) -> None:
        """Scale and label an axis, `axes.xaxis` or `axes.yaxis`."""
        axes = axis.axes
        is_x = axis is axes.xaxis
        if self.is_log:
            (axes.set_xscale if is_x else axes.set_yscale)("log")
            low, high = self.ends
            decades = math.log10(high / low)
            steps = (
                [1.0] if decades > 2.5 else [1.0, 2.0, 5.0] if decades > 1 else [1, 1.5, 2, 3, 5, 7]
            )
            axis.set_major_locator(LogLocator(subs=steps, numticks=12))
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_locator(MaxNLocator(nbins=7))
        (axes.set_xlim if is_x else axes.set_ylim)(*self.ends)
        axis.set_major_formatter(FuncFormatter(lambda value, _: self._tick(value)))

    def _tick(self, value: float) -> str:
        if self.metric == "parameters":
            return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k"
        return format_value(self.metric, value)


def _is_log(metric: str) -> bool:
    return any(word in metric for word in ("mse", "parameters", "seconds"))


def scale_of(
    metric: str, maximize: bool, values: Sequence[float], always: Sequence[float] = ()
) -> Scale:
    """Fit an axis to the values that it can show, of which `always` are never beyond it.

    Of none, a unit.
    """
    lowest = 0 if _is_log(metric) else -math.inf
    finite = [value for value in values if lowest < value < math.inf]
    if not finite:
        return Scale(metric, 0.1, 1.0, maximize)
    low, high = min(finite), max(finite)
    needed = [value for value in always if value in finite]
    if "psnr" in metric:
        low = max(low, min([high - _WORSE_DB, *needed]))
    elif "mse" in metric:
        high = min(high, max([_WORSE_FACTOR * low, *needed]))
    return Scale(metric, low, high, maximize)


def mark(axes: Any, x: float, trial: PlottedTrial, scale: Scale, *, is_best: bool = False) -> None:
    """Draw one trial's point; what lies beyond the scale is an arrow at the edge."""
    shape, style = _MARKERS.get(trial.outcome, _MARKERS["stopped"])
    if scale.is_beyond(trial.value):
        shape = "^" if trial.value > scale.high else "v"
    if is_best:
        style = {"color": BEST}
    axes.plot(
        [x],
        [scale.clipped(trial.value)],
        marker=shape,
        linestyle="none",
        markersize=8 if is_best else 5.5,
        markeredgewidth=1.1,
        zorder=4 if is_best else 3,
        **style,
    )


def legend(axes: Any, trials: Sequence[PlottedTrial], scale: Scale, *, best: str = "best") -> None:
    """Explain the marks that are there."""
    for outcome, (shape, style) in _MARKERS.items():
        if any(trial.outcome == outcome for trial in trials):
            label = _WORDS.get(outcome, outcome)
            axes.plot([], [], marker=shape, linestyle="none", markersize=5.5, label=label, **style)
    axes.plot([], [], marker="o", linestyle="none", markersize=8, color=BEST, label=best)
    if any(scale.is_beyond(trial.value) for trial in trials):
        shape = "v" if scale.maximize else "^"
        label = "beyond the edge"
        axes.plot([], [], marker=shape, linestyle="none", color=SEARCHED, label=label)
    axes.legend(
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        ncols=5,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        borderaxespad=0.2,
        handletextpad=0.3,
        columnspacing=1.2,
    )


def dress(axes: Any) -> None:
    """The frame, the ticks and the grid that all plots have."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(which="both", labelsize=8.5, color=MUTED, labelcolor=INK)
    axes.grid(visible=True, which="major", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def title(figure: Any, text: str) -> None:
    """The heading of a whole figure."""
    left = {"x": 0.012, "ha": "left"}
    figure.suptitle(text, fontsize=11, color=INK, fontweight="bold", parse_math=False, **left)


def nothing(axes: Any, text: str) -> None:
    """Say in the middle of an empty plot why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=axes.transAxes)


def best_of(trials: Sequence[PlottedTrial], maximize: bool) -> PlottedTrial | None:
    """The best trial with a value, of equals the first."""
    scored = [trial for trial in trials if math.isfinite(trial.value)]
    sign = -1 if maximize else 1
    return min(scored, key=lambda trial: (sign * trial.value, trial.number), default=None)
