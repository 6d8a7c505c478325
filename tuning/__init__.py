"""Tuning of image-colorization models: searches on Ray Tune, tracked and promoted in MLflow."""
