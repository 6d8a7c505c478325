"""A metric of your own.

$ chromatune search colorizer --import own_metric.py --objective val_hue_error:min \\
      --dataset my-photos
"""

import numpy as np

from chromatune import register_metric


# It is measured at every validation as val_hue_error, and once on the test set as test_hue_error.
# `mode` says which values are better, the smallest (min) or the largest (max).
@register_metric(task="colorizer", mode="min")
def hue_error(predicted, true):
    """Return the mean error of the hue in degrees; a pixel counts as much as it has color.

    Both are images of the split, uint8 (N, H, W, 3) in RGB, at most 1000 at a time; for the task
    `regression` they are means of a and b, float32 (N, 2) in [0, 1].
    """
    error = np.abs((hue(predicted) - hue(true) + 180) % 360 - 180)
    color = true.max(axis=-1).astype(float) - true.min(axis=-1)
    return np.average(error, weights=color) if color.any() else 0.0


def hue(images):
    red, green, blue = np.moveaxis(images.astype(float), -1, 0)
    return np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue))
