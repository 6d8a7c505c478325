"""The report as PDF, in pure Python: A4 pages with bookmarks, no table cut in a row."""

from __future__ import annotations

import io

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageTemplate,
    Paragraph,
    Spacer,
)

from tuning.report._document import Report
from tuning.report._pdf_blocks import CONTENT_WIDTH, MARGIN, flowables, paragraph
from tuning.report._pdf_style import MUTED, register_fonts

_FOOT = 9 * mm
# A section begins where there is room for its heading and its first block.
_ROOM = 60 * mm


def render_pdf(report: Report) -> bytes:
    """Write the whole report as the bytes of a PDF."""
    register_fonts()
    content = io.BytesIO()
    width, height = A4
    document = _Document(
        content,
        pagesize=A4,
        title=report.title,
        subject=report.subtitle,
        author="chromatune",
        creator="chromatune report",
        lang="en",
    )
    bottom = MARGIN + _FOOT / 2
    # Without padding: the blocks know the width.
    frame = Frame(MARGIN, bottom, CONTENT_WIDTH, height - MARGIN - bottom, 0, 0, 0, 0)

    def foot(canvas: Canvas, page: BaseDocTemplate) -> None:
        canvas.saveState()
        canvas.setFont("Sans", 7)
        canvas.setFillColor(MUTED)
        canvas.drawString(MARGIN, _FOOT, f"{report.title} · {report.subtitle}")
        canvas.drawRightString(width - MARGIN, _FOOT, f"page {page.page}")
        canvas.restoreState()

    document.addPageTemplates([PageTemplate("page", [frame], onPage=foot)])
    document.build(_story(report))
    return content.getvalue()


class _Document(BaseDocTemplate):
    """Enters every heading into the PDF's outline."""

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802
        if isinstance(flowable, Paragraph) and flowable.style.name == "heading":
            key = f"section-{self.page}-{id(flowable)}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.getPlainText(), key, 0)


def _story(report: Report) -> list[Flowable]:
    story: list[Flowable] = [
        paragraph(report.title, "title"),
        paragraph(report.subtitle, "subtitle"),
        *flowables(report.lead),
        *(paragraph(line, "note") for line in report.legend),
    ]
    for section in report.sections:
        story += [CondPageBreak(_ROOM), Spacer(0, 16), paragraph(section.heading, "heading")]
        story += flowables(section.blocks)
    return story
