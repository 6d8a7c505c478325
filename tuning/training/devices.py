"""Choosing where a model is measured."""

from __future__ import annotations

import torch

from tuning.errors import ChromatuneError


def pick_device(wanted: str) -> str:
    """Turn `auto` into `cuda` where there is one, else `cpu`; ChromatuneError if it is missing."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ChromatuneError("--device cuda: torch finds no GPU here; use --device cpu")
    return wanted
