"""Commands for users to paste: with the store that they are about, quoted, without a password."""

from __future__ import annotations

import shlex

from tuning.tracking.store import tracking_uri
from tuning.utils.redaction import redact


def chromatune_command(uri: str, *words: str) -> str:
    """A command of this program; the store is named unless the command finds it by itself."""
    store = [] if uri == tracking_uri(None) else ["--tracking-uri", redact(uri)]
    return shlex.join(["chromatune", *words, *store])
