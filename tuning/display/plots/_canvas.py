"""What every picture shares: colours, a new figure, an atomic write."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tuning.display.pictures import encode_png

INK, MUTED, FAINT = "#1c2733", "#5f6c7b", "#d5dbe1"
_DPI = 200  # sharp on paper, too

# matplotlib's font cache is shared by all figures: one drawing at a time.
DRAWING = threading.Lock()


def new_figure(width: float, height: float) -> Any:
    """Make a white figure of `width` x `height` inches that draws without a screen."""
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_png(figure: Any) -> bytes:
    """Draw a figure and encode it as an RGB PNG."""
    figure.canvas.draw()
    return encode_png(np.asarray(figure.canvas.buffer_rgba())[..., :3])
