"""The report as one HTML file: pictures, style and type are inside it, scripts there are none."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tuning.display.table import Table, html
from tuning.report._document import Block, Report
from tuning.report._images import drawn_share
from tuning.report._style import web_font

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-\d+| (?:dB|%|epochs?|seeds?))")
_WEIGHTS = {400: "DejaVuSans", 700: "DejaVuSans-Bold"}


def render_html(report: Report) -> str:
    """Write the whole report as a page that needs neither network nor scripts."""
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": drawn_share,
        "data_url": _data_url,
        "kind": lambda block: type(block).__name__.lower(),
        "prose": _prose,
        "table": lambda table: Markup(html(table)),
    }
    environment.globals["grouped"] = _grouped
    ascii_signs = {chr(code) for code in range(32, 127)}
    characters = "".join(sorted(set(_characters(report)) | set("▲▼=★☆") | ascii_signs))
    return environment.get_template("page.html.j2").render(
        report=report,
        style=Markup((folder / "style.css").read_text(encoding="utf-8")),
        fonts={
            weight: _data_url(web_font(name, characters), "font/woff")
            for weight, name in _WEIGHTS.items()
        },
    )


def _grouped(blocks: Sequence[Block]) -> list[list[Block]]:
    """Put neighbouring small tables together: they stand side by side where there is room."""

    def is_small(block: Block) -> bool:
        return isinstance(block, Table) and not block.stacks

    groups: list[list[Block]] = []
    for block in blocks:
        if groups and is_small(block) and is_small(groups[-1][-1]):
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _prose(text: str) -> Markup:
    """Set what stands between backquotes as code, and keep `1e-3` or `33.14 dB` in one line."""
    parts = str(Markup.escape(text)).split("`")
    return Markup("").join(
        Markup(f"<code>{part}</code>" if number % 2 else _NUMBER.sub(r"<span>\g<0></span>", part))
        for number, part in enumerate(parts)
    )


def _characters(value: object) -> Iterator[str]:
    """Every character that stands anywhere in a document."""
    if isinstance(value, str):
        yield from value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _characters(item)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _characters(getattr(value, field.name))
