"""The web application: the page, and the HTTP API that it and programs use."""

from __future__ import annotations

import functools
import hmac
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from data_prep import DATASETS
from tuning.serve.limits import ServeSettings
from tuning.serve.model_cache import ModelCache
from tuning.serve.schemas import Health, Models, Problem, list_models
from tuning.serve.upload import FORM_BYTES, HEADERS, colorize_upload, read_upload, unavailable
from tuning.tracking.registry.catalog import RegistryError

_PAGE = Path(__file__).with_name("page")
_BINARY = {"type": "string", "format": "binary"}
_ERRORS = {
    400: "The Host header names another server, or the upload is incomplete or no readable form.",
    401: "The bearer token is missing or wrong.",
    404: "No such mode or model, or no champion of it yet.",
    408: "The upload took too long.",
    413: "The file has too many bytes, or the image too many pixels.",
    422: "Not a readable image, or wrong parameters.",
    503: "The queue is full, or the model cannot be read: retry after the given time.",
}
# Keeps pages of other sites out. The page loads nothing from elsewhere.
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app(cache: ModelCache, settings: ServeSettings) -> FastAPI:
    """Make the application: `/` the page, `/models`, `/colorize`, `/health`, `/openapi.json`."""
    app = FastAPI(
        title="Chromatune",
        version=importlib.metadata.version("chromatune"),
        description="Colorizes grayscale images with the champions of the model registry.",
        docs_url=None,  # its page loads scripts from elsewhere; `/docs` is ours
        redoc_url=None,
        responses=_described(400),
        exception_handlers={RequestValidationError: _wrong_parameters},
    )
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_bytes + FORM_BYTES)
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=sorted(settings.hosts), www_redirect=False
    )
    plain = {
        400: "the Host header does not name this server: see --allowed-hosts",
        413: f"the upload is over {settings.max_bytes / 1e6:g} MB",
    }

    @app.middleware("http")
    async def finish(request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Add security headers, and turn the errors of Starlette's middleware into JSON."""
        response: Response = await call_next(request)
        code = response.status_code
        if code in plain and response.headers["content-type"].startswith("text/plain"):
            response = JSONResponse({"detail": plain[code]}, code)
        response.headers.update(_SECURITY_HEADERS)
        return response

    queue = anyio.CapacityLimiter(settings.max_waiting)
    workers = anyio.CapacityLimiter(settings.workers)
    locked = [] if settings.token is None else [Depends(_bearer(settings.token))]
    unauthorized = _described(401) if locked else {}
    for path, name in (("/", "index.html"), ("/docs", "docs.html")):
        app.add_api_route(path, _file(_PAGE / name), include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_PAGE), name="static")

    @app.get("/health")
    async def health() -> Health:
        """Report that the server answers."""
        return Health(device=cache.device, held=queue.borrowed_tokens)

    @app.get("/models", dependencies=locked, responses={**unauthorized, **_described(503)})
    def models() -> Models:
        """List modes with their champions, and every registered version."""
        try:
            return list_models(
                cache, [name for name, info in DATASETS.items() if not info.synthetic]
            )
        except RegistryError as error:
            raise unavailable(error) from None

    @app.post(
        "/colorize",
        response_class=Response,
        dependencies=locked,
        responses={200: _image(), **unauthorized, **_described(404, 408, 413, 422, 503)},
        openapi_extra={"requestBody": _request_body()},
    )
    async def colorize(
        request: Request,
        mode: Annotated[
            str | None,
            Query(max_length=100, description="Dataset whose champion to use, such as `faces`."),
        ] = None,
        model: Annotated[
            str | None,
            Query(max_length=300, description="Model version instead: `models:/NAME/VERSION`."),
        ] = None,
    ) -> Response:
        """Colorize an image and return it as a PNG of the same size.

        The body is the file itself, or a form with the field `file` (and `mode` or `model`).
        The default is the first mode that `/models` lists.
        """
        try:
            queue.acquire_nowait()
        except anyio.WouldBlock:
            raise HTTPException(
                503, f"the queue of {settings.max_waiting} images is full", {"Retry-After": "1"}
            ) from None
        try:
            data, fields = await read_upload(request, settings.upload_seconds)
            mode, model = mode or fields.get("mode"), model or fields.get("model")
            work = functools.partial(colorize_upload, data, mode, model, cache, settings)
            png, headers = await anyio.to_thread.run_sync(work, limiter=workers)
        finally:
            queue.release()
        return Response(png, media_type="image/png", headers=headers)

    return app


def _bearer(token: str) -> Callable[[HTTPAuthorizationCredentials | None], None]:
    """A dependency that answers 401 to requests without `token`."""

    def check(
        given: HTTPAuthorizationCredentials | None = Security(HTTPBearer(auto_error=False)),
    ) -> None:
        credentials = given.credentials if given else ""
        if not hmac.compare_digest(credentials.encode(), token.encode()):
            raise HTTPException(
                401, "this server requires its bearer token", {"WWW-Authenticate": "Bearer"}
            )

    return check


def _file(path: Path) -> Callable[[], FileResponse]:
    return lambda: FileResponse(path)


async def _wrong_parameters(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's findings in one line, as every other error has."""
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()]
    return JSONResponse({"detail": "; ".join(found)}, 422)


def _described(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem, "description": _ERRORS[code]} for code in codes}


def _image() -> dict[str, Any]:
    return {
        "description": "The colorized image.",
        "content": {"image/png": {"schema": _BINARY}},
        "headers": {
            name: {"description": what, "schema": {"type": "string"}}
            for name, what in HEADERS.items()
        },
    }


def _request_body() -> dict[str, Any]:
    text = {"type": "string"}
    properties = {"file": _BINARY, "mode": text, "model": text}
    form = {"type": "object", "properties": properties, "required": ["file"]}
    return {
        "required": True,
        "description": "JPEG, PNG, WebP, TIFF, BMP, GIF, JPEG 2000, AVIF, PPM, TGA or HEIC.",
        "content": {
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {"schema": form},
        },
    }
