"""The published numbers of epochs, scaled."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tuning.errors import ChromatuneError


def scaled_epochs(epochs: Iterable[int], scale: float | None) -> list[int]:
    """Scale the published epochs, at least 1 each; ChromatuneError if two become the same."""
    values = list(epochs)
    if scale is None:
        return values
    scaled = [max(1, math.floor(epoch * scale + 0.5)) for epoch in values]
    if len(set(scaled)) != len(scaled):
        raise ChromatuneError(
            f"epoch scale {scale:g} turns {values} epochs into {scaled}: two cells would be the "
            f"same training; use a larger scale or --epochs"
        )
    return scaled
