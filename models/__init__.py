"""Colorization networks behind one registry: `create_model("cnn2", head="tanh")`."""

from __future__ import annotations

from models import colorizers, regressors, residual, unet  # noqa: F401  (they register networks)
from models.base import ChromaModel as ChromaModel
from models.errors import ModelError as ModelError
from models.registry import create_model as create_model
from models.registry import create_model_from_spec as create_model_from_spec
from models.registry import describe_image_size as describe_image_size
from models.registry import drawing_no_weights as drawing_no_weights
from models.registry import list_models as list_models
from models.registry import model_info as model_info
from models.registry import register_model as register_model
from models.user_code import UntrustedCode as UntrustedCode
from models.user_code import UserCode as UserCode
from models.user_code import check_trusted as check_trusted
from models.user_code import fault_of as fault_of
from models.user_code import is_in_use as is_in_use
from models.user_code import module_in_use as module_in_use
from models.user_code import read_code as read_code
from models.user_code import trust_all_code as trust_all_code
from models.user_code import use_code as use_code
from models.weights import load_model as load_model
from models.weights import save_model as save_model
