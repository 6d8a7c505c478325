"""A picture out of a request, within limits of size and time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Mapping

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

_FIELD = "file"
_MOST_FIELDS = 4
# Around the picture in a form: names, boundaries, the other fields.
_FORM_BYTES = 16_384
_DISCARD_S = 10.0


@dataclasses.dataclass(frozen=True)
class Upload:
    """The bytes of a picture file, and the text fields that came with it in a form."""

    data: bytes
    fields: Mapping[str, str]


async def read_upload(request: Request, max_bytes: int, seconds: float) -> Upload:
    """Read the picture: the body itself, or the field `file` of a form.

    HTTPException 413 if it is larger than `max_bytes`, 408 if it takes longer than `seconds`, 422
    if a form holds no file.
    """
    is_form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    limit = max_bytes + (_FORM_BYTES if is_form else 0)
    try:
        async with asyncio.timeout(seconds):
            body = await _read(request, limit, max_bytes)
    except TimeoutError:
        raise HTTPException(408, f"the picture did not arrive within {seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the upload broke off") from None
    return await _from_form(request, body) if is_form else Upload(body, {})


async def discard(request: Request) -> None:
    """Read on for a while and keep nothing: many clients listen only when they have sent."""
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_DISCARD_S):
            async for _ in request.stream():
                pass


async def _read(request: Request, limit: int, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            parts.clear()
            await discard(request)
            raise HTTPException(413, f"the file is over {max_bytes / 1e6:g} MB")
        parts.append(part)
    return b"".join(parts)


async def _from_form(request: Request, body: bytes) -> Upload:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, whole(), max_files=1, max_fields=_MOST_FIELDS)
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(422, f"not a readable form ({error})") from None
    try:
        file = form.get(_FIELD)
        if not isinstance(file, UploadFile):
            raise HTTPException(422, f"the form holds no file in the field '{_FIELD}'")
        texts = {key: value for key, value in form.items() if isinstance(value, str)}
        return Upload(await file.read(), texts)
    finally:
        await form.close()
