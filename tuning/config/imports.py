"""The user's files that a command names with `--import`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuning.errors import ChromatuneError

if TYPE_CHECKING:
    from models import UserCode


def import_code(words: Sequence[str]) -> list[UserCode]:
    """Read files and modules, and make known what they register; ModelError as of `use_code`.

    Nothing is imported for no words: torch takes seconds.
    """
    if not words:
        return []
    from models import read_code, use_code

    code = distinct([read_code(word) for word in words])
    for each in code:
        use_code(each)
    return code


def distinct(code: Sequence[UserCode]) -> list[UserCode]:
    """Leave out repeated files; ChromatuneError if two different files have one name."""
    by_name = {each.name: each for each in code}
    for each in code:
        if by_name[each.name] != each:
            raise ChromatuneError(f"two different files are named {each.name}: rename one of them")
    return list(by_name.values())


def allow_code(words: Sequence[str], *, trust: bool) -> list[UserCode]:
    """Import files, which may be brought by models and launches; with `trust` these may run all."""
    code = import_code(words)
    if trust:
        from models import trust_all_code

        trust_all_code()
    return code
