"""Networks of a user's own, tried before any training."""

from __future__ import annotations

import torch

from models import ModelError, create_model, drawing_no_weights, fault_of, model_info
from tuning.training.config import FitConfig


def check_own_model(fit: FitConfig) -> None:
    """Raise ModelError if a network from a user's file cannot predict what it is trained on."""
    info = model_info(fit.model)
    if info.code is None:
        return
    size = fit.image_size
    with drawing_no_weights(info.code), torch.inference_mode():
        model = create_model(fit.model, head=fit.head, image_size=size, **fit.model_kwargs).eval()
        try:
            shape = tuple(model.raw(torch.zeros(2, 1, size, size)).shape)
        except Exception as error:
            where = fault_of(error) or f"{type(error).__name__}: {str(error).splitlines()[0]}"
            raise ModelError(f"{fit.model} of {info.code} fails: {where}") from error
    wanted = (2, 2, size, size) if info.trained_on == "planes" else (2, 2)
    if shape != wanted:
        raise ModelError(
            f"{fit.model} of {info.code} makes {shape} of (2, 1, {size}, {size}), not {wanted}"
        )
