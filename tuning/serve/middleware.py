"""What every request must pass, and what every answer carries."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from fastapi import HTTPException, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    # The page needs nothing from elsewhere, and shows pictures that it made itself.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Middleware: refuses requests under a foreign name, and adds headers to every answer.

    A page of another site could have its own name point to this machine; its requests carry that
    name as Host.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        host = _name(Headers(scope=scope).get("host", ""))
        if host in self._hosts:
            await self._app(scope, receive, send_with_headers)
            return
        answer = JSONResponse({"detail": f"this server is not called '{host}'"}, 421)
        await answer(scope, receive, send_with_headers)


def bearer_of(token: str) -> Callable[[HTTPAuthorizationCredentials | None], None]:
    """A dependency that answers 401 to requests without `token`."""

    def check(
        given: HTTPAuthorizationCredentials | None = Security(HTTPBearer(auto_error=False)),
    ) -> None:
        credentials = given.credentials if given else ""
        if not hmac.compare_digest(credentials.encode(), token.encode()):
            raise HTTPException(401, "this server needs its token", {"WWW-Authenticate": "Bearer"})

    return check


def _name(host: str) -> str:
    """The name in a Host header, without its port: `localhost`, `[::1]`."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()
