"""What every picture shares: colours, a new figure, an atomic write."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

INK, MUTED, FAINT = "#1c2733", "#5f6c7b", "#d5dbe1"
DPI = 110
PRINT_DPI = 200  # of figures that are also printed

# matplotlib's font cache is shared by all figures: one drawing at a time.
DRAWING = threading.Lock()


def new_figure(width: float, height: float, layout: Any = "constrained", dpi: int = DPI) -> Any:
    """Make a white figure of `width` x `height` inches that draws without a screen."""
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def write_png(figure: Any, path: str | Path) -> None:
    """Write the drawing as an RGB PNG, whole or not at all."""
    figure.canvas.draw()
    write_image(Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]), path)


def write_image(picture: Image.Image, path: str | Path) -> None:
    """Write a picture as PNG, whole or not at all."""
    path = Path(path)
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG")
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(encoded.getvalue())
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise
