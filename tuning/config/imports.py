"""The user's files that a command names with `--import`, and a YAML file with `import:`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def found_beside(named: Any, file: Path) -> Any:
    """Name the files of a YAML file's `import:` that lie beside it by their paths."""
    return [
        str(file.parent / word)
        if isinstance(word, str) and (file.parent / word).is_file()
        else word
        for word in listed(named)
    ]


def joined(named: Any, given: Any) -> list[Any]:
    """Add the files that options name to those of a YAML file; of one name, the options' counts."""
    names = {Path(str(word)).name for word in listed(given)}
    kept = [word for word in listed(named) if Path(str(word)).name not in names]
    return kept + listed(given)


def listed(value: Any) -> list[Any]:
    """A name or a list of names as a list."""
    return value if isinstance(value, list) else [value]


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
