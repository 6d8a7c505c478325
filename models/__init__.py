"""Colorization networks behind one registry: `create_model("cnn2", head="tanh")`."""

from __future__ import annotations

from models import colorizers, regressors, residual, unet  # noqa: F401  (they register networks)
from models.base import ChromaModel as ChromaModel
from models.errors import ModelError as ModelError
from models.registry import create_model as create_model
from models.registry import create_model_from_spec as create_model_from_spec
from models.registry import describe_image_size as describe_image_size
from models.registry import list_models as list_models
from models.registry import model_info as model_info
from models.registry import register_model as register_model
from models.weights import load_model as load_model
from models.weights import save_model as save_model
