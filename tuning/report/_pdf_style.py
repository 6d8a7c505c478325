"""Type and colours of the PDF: DejaVu Sans, which matplotlib brings and draws charts with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

INK: Color = HexColor("#1c2733")
MUTED: Color = HexColor("#5f6c7b")
FAINT: Color = HexColor("#d5dbe1")
WASH: Color = HexColor("#f4f6f8")
BETTER: Color = HexColor("#c4ddf1")
WORSE = "#8a4208"

_FONTS = {
    "Sans": "DejaVuSans",
    "Sans-Bold": "DejaVuSans-Bold",
    "Sans-Italic": "DejaVuSans-Oblique",
    "Sans-Both": "DejaVuSans-BoldOblique",
    "Mono": "DejaVuSansMono",
}


def register_fonts() -> None:
    """Make the typeface known to reportlab; called again, it changes nothing."""
    if "Sans" in pdfmetrics.getRegisteredFontNames():
        return
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name, file in _FONTS.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{file}.ttf")))
    pdfmetrics.registerFontFamily("Sans", "Sans", "Sans-Bold", "Sans-Italic", "Sans-Both")
    pdfmetrics.registerFontFamily("Mono", "Mono", "Mono", "Mono", "Mono")


def _style(name: str, size: float, **details: Any) -> ParagraphStyle:
    shared = {"fontName": "Sans", "textColor": INK, "leading": round(1.4 * size, 1)}
    return ParagraphStyle(name, fontSize=size, **{**shared, **details})


def _box(**details: Any) -> dict[str, Any]:
    sides = dict.fromkeys(("leftIndent", "rightIndent", "borderPadding"), 5)
    return {"spaceBefore": 9, "spaceAfter": 11, **sides, **details}


STYLES = {
    style.name: style
    for style in (
        _style("title", 18, fontName="Sans-Bold", spaceAfter=2),
        _style("subtitle", 9.5, textColor=MUTED, spaceAfter=10),
        _style("heading", 13, fontName="Sans-Bold", spaceAfter=6, keepWithNext=True),
        _style("plain", 9, spaceBefore=4, spaceAfter=6),
        _style("finding", 9, **_box(backColor=WASH)),
        _style("note", 7.5, textColor=MUTED, spaceBefore=1, spaceAfter=3),
        _style("missing", 8, textColor=MUTED, **_box(borderColor=MUTED, borderWidth=0.5)),
        _style("warning", 9, **_box(borderColor=INK, borderWidth=1.2)),
        _style("caption", 8.5, fontName="Sans-Bold", spaceBefore=6, spaceAfter=3, keepWithNext=1),
        _style("figure", 7.5, textColor=MUTED, spaceBefore=2),
        _style("column", 7.5, fontName="Sans-Bold", textColor=MUTED, alignment=TA_RIGHT),
        _style("corner", 7.5, fontName="Sans-Bold", textColor=MUTED),
        _style("label", 8.5, fontName="Sans-Bold", leading=11),
        _style("cell", 8.5, alignment=TA_RIGHT, leading=11),
        _style("term", 8, textColor=MUTED),
        _style("fact", 8),
        _style("command", 7, fontName="Mono", leading=10, wordWrap="CJK"),
    )
}
