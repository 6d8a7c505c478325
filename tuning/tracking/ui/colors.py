"""Colors of runs in MLflow's charts, which otherwise repeat after a few."""

from __future__ import annotations

import colorsys

COLOR_TAG = "mlflow.runColor"
_FIRST_HUE = 0.58  # blue
# Steps of the golden ratio leave no two hues close, however many there are.
_HUE_STEP = 0.618034
_DARKEST, _LIGHTEST, _SATURATION = 0.38, 0.72, 0.65


def cell_color(training: int, cell: int, cells: int) -> str:
    """Color of a launch's `cell`-th of `cells` cells of its `training`-th training, as `#rrggbb`.

    Trainings differ in hue; cells of one training, whose curves lie on each other, in lightness:
    the longest is the darkest. Both count from 0.
    """
    hue = (_FIRST_HUE + training * _HUE_STEP) % 1
    share = (cell + 1) / cells
    lightness = _LIGHTEST - share * (_LIGHTEST - _DARKEST)
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, _SATURATION)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
