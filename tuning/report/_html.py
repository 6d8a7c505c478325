"""The report as one HTML file: pictures and style are inside it, scripts there are none."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tuning.report._document import Report, grouped

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-\d+| (?:dB|%|epochs?|seeds?))")


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
        "data_url": lambda data, kind: f"data:{kind};base64,{base64.b64encode(data).decode()}",
        "kind": lambda block: type(block).__name__.lower(),
        "prose": _prose,
    }
    environment.globals["grouped"] = grouped
    sheets = ("style.css", "print.css")
    style = "\n".join((folder / sheet).read_text(encoding="utf-8") for sheet in sheets)
    return environment.get_template("page.html.j2").render(report=report, style=Markup(style))


def _prose(text: str) -> Markup:
    """Set what stands between backquotes as code, and keep `1e-3` or `33.14 dB` in one line."""
    parts = str(Markup.escape(text)).split("`")
    return Markup("").join(
        Markup(f"<code>{part}</code>" if number % 2 else _NUMBER.sub(r"<span>\g<0></span>", part))
        for number, part in enumerate(parts)
    )
