"""The report as PDF: the page of `render_html`, printed on A4."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib

from tuning.errors import ChromatuneError
from tuning.report._document import Report
from tuning.report._html import render_html

# DejaVu Sans, which matplotlib brings: it has ▲ and ★, which not every machine's typeface has.
_FACES = {
    "DejaVuSans": "'DejaVu Sans'",
    "DejaVuSans-Bold": "'DejaVu Sans'; font-weight: 700",
    "DejaVuSans-Oblique": "'DejaVu Sans'; font-style: italic",
    "DejaVuSansMono": "'DejaVu Sans Mono'",
}


def render_pdf(report: Report) -> bytes:
    """Write the whole report as the bytes of a PDF.

    Raises ChromatuneError on a machine that plutoprint is not published for.
    """
    try:
        import plutoprint
    except ImportError:
        raise ChromatuneError(
            "the PDF needs plutoprint: `pip install plutoprint`, or give --format html"
        ) from None

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = [
        f"@font-face {{ font-family: {face}; src: url({(folder / file).as_uri()}.ttf); }}"
        for file, face in _FACES.items()
    ]
    # Without margins of its own, those of the style sheet count.
    book = plutoprint.Book(
        plutoprint.PAGE_SIZE_A4, plutoprint.PAGE_MARGINS_NONE, plutoprint.MEDIA_TYPE_PRINT
    )
    # Links within the page need an address to be relative to.
    book.load_html(render_html(report), user_style="\n".join(faces), base_url="file:///report.html")
    content = io.BytesIO()
    book.write_to_pdf_stream(content)
    return content.getvalue()
