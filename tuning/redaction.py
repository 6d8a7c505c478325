"""Secrets out of text and documents before they are shown, stored or logged."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"
_SECRET_WORD = (
    r"(?:password|passwd|pwd|secret|token|credential|api[_-]?key|access[_-]?key|sig|signature)"
)
_IN_URL = re.compile(r"(?<=://)[^\s/@'\"]+@")
_ASSIGNED = re.compile(
    rf"(?i)((?:--[\w-]*{_SECRET_WORD}[=\s]+|\b[\w.-]*{_SECRET_WORD}=)['\"]?)[^\s&,;'\"]+"
)
_SECRET_KEY = re.compile(rf"(?i)(?:^|[_.-]){_SECRET_WORD}s?$")


def redact(text: str) -> str:
    """Hide user names and passwords in URLs, and values given to words such as `token=`."""
    return _ASSIGNED.sub(rf"\1{HIDDEN}", _IN_URL.sub(f"{HIDDEN}@", text))


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
