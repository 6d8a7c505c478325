"""The generated parts of a page: what stands between `<!-- NAME: begin -->` and its end."""

from __future__ import annotations


def filled(text: str, name: str, content: str) -> str:
    """Put `content` into the part `name` of a page's text; ValueError if it has no such part."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"the page has no part {begin} … {end}")
    return f"{before}{begin}\n{content}{end}{after}"
