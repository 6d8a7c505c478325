"""The web application: the page, and the API that it and programs use."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from data_prep import DATASETS
from tuning.serve.colorize import HEADERS, colorize_upload
from tuning.serve.limits import FullError, Queue
from tuning.serve.middleware import Guard, bearer_of
from tuning.serve.model_cache import ModelCache
from tuning.serve.schemas import Health, Models, Problem, models_on
from tuning.serve.settings import ServeSettings
from tuning.serve.upload import discard, read_upload
from tuning.tracking.registry.catalog import RegistryError

_PAGE = Path(__file__).with_name("page")
_BINARY = {"type": "string", "format": "binary"}
_REFUSALS = {
    400: "The upload broke off.",
    404: "No such mode or model, or no champion of it yet.",
    408: "The upload took too long.",
    413: "The file has too many bytes, or the picture too many pixels.",
    421: "The Host of the request is none of the server's names.",
    422: "Not a readable picture, or wrong parameters.",
    503: "As many pictures as allowed are held, or a model cannot be read: come again later.",
}


def create_app(cache: ModelCache, settings: ServeSettings) -> FastAPI:
    """Make the application: `/` the page, `/models`, `/colorize`, `/health`, `/openapi.json`."""
    app = FastAPI(
        title="Chromatune",
        version=importlib.metadata.version("chromatune"),
        description="Colorizes grayscale pictures with the champions of the model registry.",
        docs_url=None,  # its page loads scripts from elsewhere; `/docs` is ours
        redoc_url=None,
        responses={421: _refusal(421)},
    )
    app.add_middleware(Guard, hosts=settings.hosts)
    app.add_exception_handler(RequestValidationError, _wrong_parameters)
    queue = Queue(settings.max_waiting, settings.workers)
    locked: dict[str, Any] = {}
    if settings.token is not None:
        locked["dependencies"] = [Depends(bearer_of(settings.token))]
        locked["responses"] = {401: {"model": Problem, "description": "The token is missing."}}
    _add_page(app)

    @app.get("/health")
    async def health() -> Health:
        """Tell that the server answers."""
        return Health(device=cache.device, held=queue.held)

    @app.get("/models", **_with(locked, {503: _refusal(503)}))
    def models() -> Models:
        """List modes with their champions, and every registered version."""
        try:
            return models_on(cache, [name for name, info in DATASETS.items() if not info.synthetic])
        except RegistryError as error:
            raise HTTPException(503, str(error), {"Retry-After": "5"}) from None

    @app.post(
        "/colorize",
        response_class=Response,
        openapi_extra={"requestBody": _request_body()},
        **_with(locked, {200: _picture(), **{code: _refusal(code) for code in _REFUSALS}}),
    )
    async def colorize(
        request: Request,
        mode: Annotated[
            str | None,
            Query(max_length=100, description="Dataset whose champion colorizes, e.g. `faces`."),
        ] = None,
        model: Annotated[
            str | None,
            Query(max_length=300, description="This version instead: `models:/NAME/VERSION`."),
        ] = None,
    ) -> Response:
        """Colorize a picture and return it as a PNG of its own size.

        The body is the file itself, or a form with the field `file` (and `mode` or `model`).
        Without `mode` and `model` the first mode that `/models` lists is taken.
        """
        try:
            with queue.place():
                upload = await read_upload(request, settings.max_bytes, settings.upload_seconds)
                wanted = (mode or upload.fields.get("mode"), model or upload.fields.get("model"))
                if all(wanted):
                    raise HTTPException(422, "mode and model both choose a model: give one of them")
                async with queue.worker():
                    png, headers = await run_in_threadpool(
                        colorize_upload, upload.data, *wanted, cache, settings.max_pixels
                    )
        except FullError:
            await discard(request)
            raise HTTPException(
                503, f"all {settings.max_waiting} places are taken", {"Retry-After": "1"}
            ) from None
        return Response(png, media_type="image/png", headers=headers)

    return app


def _add_page(app: FastAPI) -> None:
    for path, name in (("/", "index.html"), ("/docs", "docs.html")):

        def page(name: str = name) -> FileResponse:
            return FileResponse(_PAGE / name)

        app.get(path, include_in_schema=False)(page)
    app.mount("/static", StaticFiles(directory=_PAGE), name="static")


async def _wrong_parameters(_: Request, error: Exception) -> JSONResponse:
    """Say in one line what FastAPI found wrong, as every other refusal does."""
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
    return JSONResponse({"detail": "; ".join(found)}, 422)


def _with(locked: dict[str, Any], responses: dict[int, Any]) -> dict[str, Any]:
    return {**locked, "responses": {**responses, **locked.get("responses", {})}}


def _refusal(code: int) -> dict[str, Any]:
    return {"model": Problem, "description": _REFUSALS[code]}


def _picture() -> dict[str, Any]:
    return {
        "description": "The colorized picture.",
        "content": {"image/png": {"schema": _BINARY}},
        "headers": {
            name: {"description": what, "schema": {"type": "string"}}
            for name, what in HEADERS.items()
        },
    }


def _request_body() -> dict[str, Any]:
    text = {"type": "string"}
    form = {
        "type": "object",
        "properties": {"file": _BINARY, "mode": text, "model": text},
        "required": ["file"],
    }
    return {
        "required": True,
        "description": "JPEG, PNG, WebP, TIFF, BMP, GIF, JPEG 2000, AVIF or PPM.",
        "content": {
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {"schema": form},
        },
    }
