"""Inference with trained networks: colorizing image files, sample sheets, model export."""
