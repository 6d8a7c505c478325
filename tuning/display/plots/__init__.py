"""Plots of a training and of a grid, as PNG; of a launch, as a figure.

Everything is drawn through matplotlib's object interface, never pyplot, so any thread may call.
Lines and cells stay apart in grayscale.
"""

from __future__ import annotations

from tuning.display.plots._heatmap import grid_heatmap
from tuning.display.plots._learning_curves import learning_curves
from tuning.display.plots._loss_curve import loss_curve

__all__ = ["grid_heatmap", "learning_curves", "loss_curve"]
