"""The files: self-contained HTML, a PDF with every section, Markdown that finds its pictures."""

from __future__ import annotations

import base64
import html
import io
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tuning.report.stores import make_store
from tuning.errors import ChromatuneError
from tuning.report import Report, build_report, render_markdown, write_report
from tuning.report._html import render_html
from tuning.report._pdf import render_pdf


def values(page: str, tag: str, attribute: str) -> set[str]:
    """What an attribute holds in any of the tags that match a pattern."""
    found = re.findall(rf'<(?:{tag})\b[^>]*\s{attribute}="([^"]*)"', page)
    return set(map(html.unescape, found))


def test_the_page_needs_nothing_but_itself(report: Report) -> None:
    page = render_html(report)
    assert "<script" not in page
    sources = values(page, r"\w+", "src") | values(page, r"\w+", "srcset")
    sources |= values(page, "link", "href") | set(re.findall(r"url\(([^)]*)\)", page))
    assert all(url.startswith("data:") for url in sources)
    assert "@import" not in page
    links, anchors = values(page, "a", "href"), values(page, r"\w+", "id")
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    assert "http://ui/#/runs/1?a=1&b=2" in links
    assert all(values(page, "img", "alt"))


def test_text_is_shown_as_text_and_pictures_are_whole(report: Report) -> None:
    page = render_html(report)
    assert "<b>" not in page
    shown = html.unescape(re.sub(r"<[^>]*>", "", page))
    for text in ("Title <b>", "published <1>", "III. Regression & <more>", "chromatune report"):
        assert text in shown
    assert {"better winner-all", " missing"} <= values(page, "td", "class")
    for kind, content in re.findall(r"data:image/(\w+);base64,([^\"]+)", page):
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert image.format == kind.upper()
            image.load()


def unpacked(pdf: bytes) -> bytes:
    """A PDF's compressed streams, in which its objects are."""
    assert pdf.startswith(b"%PDF-")
    streams = re.findall(rb"stream\r?\n(x.*?)endstream", pdf, re.DOTALL)
    # What ends the last line follows the data, whose own last byte may look like one.
    return b"\n".join([pdf, *(zlib.decompressobj().decompress(one) for one in streams)])


def test_the_pdf_has_links_and_its_own_typeface(report: Report) -> None:
    content = unpacked(render_pdf(report))
    assert b"http://ui/#/runs/1?a=1&b=2" in content
    assert b"/Dest /grid" in content or b"(grid)" in content
    assert b"DejaVuSans-Bold" in content  # embedded, so that ▲ and ★ are there on every machine


def test_an_empty_report_is_a_report(archive: Any, tmp_path: Path) -> None:
    made = build_report(make_store(), archive)
    files = write_report(made, tmp_path, ("html", "pdf", "md"))
    assert [path.name for path in files] == ["index.html", "report.pdf", "report.md"]
    assert "holds no launches yet" in files[0].read_text()
    assert files[1].read_bytes().startswith(b"%PDF-")


def test_markdown_refers_to_the_pictures_that_are_written(report: Report, tmp_path: Path) -> None:
    files = write_report(report, tmp_path, ("md",))
    text = files[0].read_text()
    named = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert sorted(named) == ["figures/best.jpg", "figures/heatmap.png", "figures/loss.png"]
    for path in named:
        with Image.open(tmp_path / path) as image:
            image.load()
    bare = render_markdown(report, pictures=False)
    assert "![" not in bare
    assert "Across: ours, truth. Down: row 0; row 1; row 2.*" in bare


def test_files_replace_older_ones_whole_or_not_at_all(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index.html").write_text("old")

    def refuse(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ChromatuneError, match=r"cannot write the report to .*No space left"):
        write_report(report, tmp_path, ("html",))
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "old"
