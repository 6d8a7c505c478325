"""Google Drive's page between a link and a large file: "too large to scan, download anyway"."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

DRIVE_URL = "https://drive.google.com/uc"
_DRIVE_HOSTS = frozenset({"drive.google.com", "docs.google.com", "drive.usercontent.google.com"})


@dataclass
class ConfirmForm:
    """The form that leads on to the file: where it is sent, how, and with what."""

    url: str
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)


def confirm_form(page: str, page_url: str) -> ConfirmForm | None:
    """Return the download form of a page, or None if it has none.

    A form that leads to another host than the page's own or Drive's is not followed.
    """
    parser = _FormParser()
    parser.feed(page)
    if parser.form is None:
        return None
    url = urljoin(page_url, parser.form.url)
    target = urlsplit(url)
    trusted = target.netloc == urlsplit(page_url).netloc or target.netloc in _DRIVE_HOSTS
    if target.scheme not in ("http", "https") or not trusted:
        return None
    return ConfirmForm(url, parser.form.method, parser.form.fields)


class _FormParser(HTMLParser):
    """Keeps the form whose id is Drive's `download-form` (once `downloadForm`)."""

    def __init__(self) -> None:
        super().__init__()
        self.form: ConfirmForm | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("id") in ("download-form", "downloadForm"):
            method = "post" if given.get("method", "").lower() == "post" else "get"
            self.form = ConfirmForm(given.get("action", ""), method)
            self._inside = True
        hidden = tag == "input" and given.get("type") == "hidden" and "name" in given
        if hidden and self._inside and self.form is not None:
            self.form.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
