"""The launch folder: what is trained, what is left of it, where it lies."""
