"""Tuning of image-colorization models: searches on Ray Tune, tracked and promoted in MLflow."""

import chromatune  # noqa: F401  (so that `models` and `data_prep` are the folders beside this one)
