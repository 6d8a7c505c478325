"""Colorization networks behind one registry: `create_model("cnn2", head="tanh")`."""

from __future__ import annotations

from models.base import ChromaModel
from models.colorizers import autoencoder
from models.errors import ModelError
from models.heads import HEADS, Head
from models.registry import (
    TASKS,
    create_model,
    create_model_from_spec,
    list_models,
    model_info,
    register_model,
)
from models.regressors import cnn1, cnn2, cnn3, fc
from models.residual import resnet
from models.unet import unet
from models.weights import load_model, save_model

__all__ = [
    "HEADS",
    "TASKS",
    "ChromaModel",
    "Head",
    "ModelError",
    "autoencoder",
    "cnn1",
    "cnn2",
    "cnn3",
    "create_model",
    "create_model_from_spec",
    "fc",
    "list_models",
    "load_model",
    "model_info",
    "register_model",
    "resnet",
    "save_model",
    "unet",
]
