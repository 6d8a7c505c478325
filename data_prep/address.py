"""Addresses of archives, as they may be written down."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

_SECRET = re.compile(r"(?i)token|sig|secret|key|passw|pwd|credential|auth")


def without_secrets(url: str) -> str:
    """Leave out user and password, and whatever the query says under a telling name."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not _SECRET.search(name)]
    query = parts.query if kept == pairs else urlencode(kept)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query).geturl()


def mark_of(url: str) -> str:
    """What tells an address from others: itself, or its digest where it holds a secret."""
    if without_secrets(url) == url:
        return url
    return f"sha256:{hashlib.sha256(url.encode()).hexdigest()}"
