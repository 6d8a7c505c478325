"""Hide secrets in text and documents before they are shown, stored or logged."""

from __future__ import annotations

import os
import re
from typing import Any

HIDDEN = "***"
_SHORTEST = 8
_SECRET_WORD = (
    r"(?:password|passwd|pwd|secret(?:[_-]?key)?|token|credential|api[_-]?key|access[_-]?key"
    r"|sig|signature)"
)
# The second form is a password with a slash in it, which a port is not.
_IN_URL = re.compile(r"(?<=://)(?:[^\s/'\"]+|[^\s/:'\"]+:(?!\d+[/?#])[^\s'\"]+)@")
_ASSIGNED = re.compile(
    rf"(?i)((?:--[\w-]*{_SECRET_WORD}[=\s]+|\b[\w.-]*{_SECRET_WORD}=)['\"]?)[^\s&,;'\"]+"
)
# Behind its host, the address of a chat program's hook is as secret as a password.
_HOOK = re.compile(r"((?:--notify[=\s]+|\bnotify=)['\"]?https?://[^\s/'\"]+)[^\s'\"]*")
_IN_HEADER = re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer)\s+)[^\s'\"]+")
_SECRET_VARIABLE = re.compile(rf"(?i){_SECRET_WORD}s?$")
_SECRET_KEY = re.compile(rf"(?i)(?:^|[_.-]){_SECRET_WORD}s?$")


def redact(text: str) -> str:
    """Hide user names and passwords in URLs, values after words such as `token=`, and the values of
    environment variables with such names.
    """
    for secret in _of_environment():
        text = text.replace(secret, HIDDEN)
    text = _IN_URL.sub(f"{HIDDEN}@", text)
    text = _HOOK.sub(rf"\1/{HIDDEN}", text)
    for pattern in (_ASSIGNED, _IN_HEADER):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def redact_document(value: Any) -> Any:
    """Return a copy of a JSON-able document with every secret in it hidden."""
    if isinstance(value, dict):
        return {
            key: HIDDEN if _SECRET_KEY.search(str(key)) and item else redact_document(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [redact_document(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _of_environment() -> list[str]:
    """Secrets in the environment, the longest first, as one may contain another.

    Short values are left out, because they occur by chance, and so are paths of token files.
    """
    found = {
        value
        for name, value in os.environ.items()
        if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST and not value.startswith("/")
    }
    return sorted(found, key=len, reverse=True)
