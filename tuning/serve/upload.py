"""An uploaded image: read from its request, checked, and colorized."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from data_prep.color import is_grayscale, rgb_to_lab
from data_prep.decode import TooLargeError, UnusableError, decode_rgb
from models import ModelError
from tuning.display.pictures import encode_png
from tuning.errors import ChromatuneError
from tuning.inference.predict import Prediction, paint
from tuning.serve.limits import ServeSettings
from tuning.serve.model_cache import ModelCache
from tuning.tracking.registry.catalog import RegistryError
from tuning.tracking.registry.model_choice import Choice
from tuning.workflows.colorize import mean_document

# Around the file in a form: names, boundaries, the other fields.
FORM_BYTES = 16_384
_MAX_FIELDS = 4
# Sent with each image; part of the API.
HEADERS = {
    "Chromatune-Model": "Name of the registered model.",
    "Chromatune-Model-Version": "Its version.",
    "Chromatune-Model-Uri": "Its MLflow model URI: models:/NAME/VERSION.",
    "Chromatune-Mean-A": "Predicted mean a*, in units of Lab; a + 128 counts from 0 to 255.",
    "Chromatune-Mean-B": "Predicted mean b*.",
    "Chromatune-Mean-By": "Model that predicted the mean: the regressor, else the colorizer.",
    "Chromatune-Painted-Mean-A": "Mean a* of the colorizer's own planes.",
    "Chromatune-Painted-Mean-B": "Mean b* of the colorizer's own planes.",
    "Chromatune-Input": "`colour` or `grayscale`: whether the file had colours of its own.",
    "Chromatune-Notes": "What was assumed in reading the file, such as a color profile.",
}


async def read_upload(request: Request, seconds: float) -> tuple[bytes, Mapping[str, str]]:
    """Return the file, which is the body itself or the field `file` of a form, and the text fields.

    HTTPException 408 if it takes longer than `seconds`, 400 if it breaks off or is no readable
    form, 422 if a form has no file.
    """
    try:
        async with asyncio.timeout(seconds):
            kind = request.headers.get("content-type", "")
            if not kind.lower().startswith("multipart/form-data"):
                return await request.body(), {}
            async with request.form(max_files=1, max_fields=_MAX_FIELDS) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise HTTPException(422, "the form has no file in the field 'file'")
                texts = {key: value for key, value in form.items() if isinstance(value, str)}
                return await file.read(), texts
    except TimeoutError:
        raise HTTPException(408, f"the upload took longer than {seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the upload is incomplete") from None


def colorize_upload(
    data: bytes,
    mode: str | None,
    model: str | None,
    cache: ModelCache,
    settings: ServeSettings,
) -> tuple[bytes, dict[str, str]]:
    """Colorize an image file; return a PNG of the same size and the values of `HEADERS`.

    HTTPException 413 for too many pixels, 422 for wrong parameters or a file that is not a readable
    image, 404 for an unknown model or mode, 503 while the registry or a model cannot be read.
    """
    if mode and model:
        raise HTTPException(422, "mode and model both choose a model: give one of them")
    try:
        choice = cache.choose(mode, model)
    except RegistryError as error:
        raise unavailable(error) from None
    except ChromatuneError as error:
        raise HTTPException(404, str(error)) from None
    try:
        picture = decode_rgb(data, max_pixels=settings.max_pixels)
    except TooLargeError as error:
        raise HTTPException(413, f"the image is {error}") from None
    except UnusableError as error:
        raise HTTPException(422, str(error)) from None
    L = np.ascontiguousarray(rgb_to_lab(picture.rgb)[..., 0])
    kind = "grayscale" if is_grayscale(picture.rgb) else "colour"
    try:
        prediction = cache.load(choice).predict(L)
    except (ChromatuneError, ModelError) as error:
        raise unavailable(error) from None
    values = (*_values(choice, prediction), kind, "; ".join(picture.notes))
    headers = dict(zip(HEADERS, values, strict=True))
    return encode_png(paint(L, prediction.ab)), headers


def _values(choice: Choice, prediction: Prediction) -> tuple[str, ...]:
    """The values of `HEADERS` on the model."""
    card, regressor = choice.colorizer, choice.regressor
    mean, own = mean_document(prediction.mean_ab), mean_document(prediction.own_mean_ab)
    by = regressor if regressor is not None and prediction.regressed_ab is not None else card
    means = [f"{value:.3f}" for value in (mean["a"], mean["b"], own["a"], own["b"])]
    version = "" if card.version is None else str(card.version)
    return card.name, version, card.uri, *means[:2], by.label, *means[2:]


def unavailable(error: Exception) -> HTTPException:
    return HTTPException(503, str(error), {"Retry-After": "5"})
