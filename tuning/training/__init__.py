"""The science, in plain PyTorch: data, training loop, metrics, checkpoints."""
