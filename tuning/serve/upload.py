"""An image file out of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

# Around the file in a form: names, boundaries, the other fields.
FORM_BYTES = 16_384
_MAX_FIELDS = 4


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
