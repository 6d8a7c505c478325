"""The report's typeface, DejaVu Sans as matplotlib brings it: the same in charts, HTML and PDF."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Literal

import matplotlib
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

Style = Literal["", "-Bold", "-Oblique", "-BoldOblique"]


def font_file(style: Style = "", family: str = "DejaVuSans") -> Path:
    """Path of a TrueType file."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{family}{style}.ttf"


@cache
def web_font(style: Style, characters: str) -> bytes:
    """The font as WOFF with these characters alone; others are left to the reader's own font."""
    options = Options()
    options.flavor = "woff"
    options.with_zopfli = False
    options.layout_features = ["kern"]
    options.notdef_outline = True
    options.drop_tables += ["FFTM"]  # of no use to a reader, and the subsetter warns of it
    subsetter = Subsetter(options)
    subsetter.populate(text=characters)
    with TTFont(font_file(style), lazy=True) as font:
        subsetter.subset(font)
        font.flavor = "woff"
        content = io.BytesIO()
        font.save(content)
    return content.getvalue()
