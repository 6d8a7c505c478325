"""Pictures of a training and of a grid, written as PNG files.

Everything is drawn through matplotlib's object interface, never pyplot, so any thread may call.
Lines and cells stay apart in grayscale.
"""

from __future__ import annotations

from tuning.pictures._curve import loss_curve
from tuning.pictures._heatmap import grid_heatmap
from tuning.pictures._sheet import picture_sheet

__all__ = ["grid_heatmap", "loss_curve", "picture_sheet"]
