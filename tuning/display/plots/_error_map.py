"""Where in a picture colours are missed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from numpy.typing import NDArray

from tuning.display.plots._canvas import DRAWING, INK, MUTED, PRINT_DPI, new_figure, write_png

# Light is right and dark is wrong, in colour and in gray.
_COLOURS = ListedColormap(colormaps["YlOrBr"](np.linspace(0, 1, 256)))


def error_map(errors: Mapping[str, NDArray[Any]], path: str | Path) -> None:
    """Draw mean absolute errors (H, W) in Lab units side by side, on one scale from 0."""
    highest = max(float(error.max()) for error in errors.values())
    norm = Normalize(0, highest or 1.0)
    with DRAWING:
        figure = new_figure(0.9 + 2.1 * len(errors), 2.4, dpi=PRINT_DPI)
        all_axes = figure.subplots(1, len(errors), squeeze=False)[0]
        for axes, (name, error) in zip(all_axes, errors.items(), strict=True):
            axes.imshow(error, cmap=_COLOURS, norm=norm, interpolation="nearest")
            axes.set_title(name, fontsize=9.5, color=INK, pad=5, parse_math=False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color(MUTED)
        mappable = ScalarMappable(norm, _COLOURS)
        bar = figure.colorbar(mappable, ax=list(all_axes), aspect=18, pad=0.03)
        bar.ax.tick_params(labelsize=8.5, length=2, color=MUTED, labelcolor=INK)
        bar.set_label("mean absolute error, Lab units", fontsize=8.5, color=MUTED)
        bar.outline.set_visible(False)
        write_png(figure, path)


def error_tile(error: NDArray[Any], scale: float) -> NDArray[np.uint8]:
    """Colour one picture's errors (H, W), in Lab units, as RGB; `scale` and above is darkest."""
    rgb: NDArray[np.uint8] = _COLOURS(np.clip(error / scale, 0, 1), bytes=True)[..., :3]
    return rgb
