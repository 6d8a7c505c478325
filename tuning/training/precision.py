"""How exactly a GPU multiplies while a model is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tf32_if(allowed: bool) -> Iterator[None]:
    """Let a GPU round what it multiplies to TF32's ten bits, or make sure that it does not.

    By default torch lets cuDNN do so in convolutions, which the original paper did not. Sums
    stay float32, and a CPU knows nothing of it.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
