"""Tags and entities that a text still carries: where they stand, and what a reader sees there.

HTML as web pages and filings have it, inline XBRL, and the SGML of EDGAR's full submissions. Only
known names are tags: "<Company>" and "a < b" are text. Every scan is a single pass.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

Edit = tuple[int, int, str]  # characters [start, end) are read as this text

TAG_CHARACTERS_MAX = 4000

_INLINE = frozenset(
    """
    a abbr b bdi bdo big cite code del em font i ins kbd label mark nobr q samp small span
    strike strong sub tt u var wbr
    """.split()  # noqa: SIM905 -- readable as text
)
# EDGAR's own from accession-number on
_BLOCK = frozenset(
    """
    address article aside blockquote body button caption center col colgroup dd details dialog
    dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6
    head header hr html iframe img input legend li link main map meta nav noscript object ol
    option p param pre section select source summary svg table tbody textarea tfoot thead title
    tr ul video !doctype ?xml
    accession-number acceptance-datetime description document filename ims-document ims-header
    page pdf sec-document sec-header sequence text type xbrl xml s c fn f1 f2 f3 f4 f5
    """.split()  # noqa: SIM905 -- readable as text
)
_CELLS = frozenset({"td", "th"})
_LINES = frozenset({"br"})
_RAISED = frozenset({"sup"})  # a footnote's mark is no digit of the figure before it
_SILENT = re.compile(r"(?:script|style)\b", re.IGNORECASE)  # their content is no text
_SILENT_END = {
    "script": re.compile(r"</script", re.IGNORECASE),
    "style": re.compile(r"</style", re.IGNORECASE),
}
_NAME = re.compile(r"/?([a-zA-Z!?][a-zA-Z0-9]{0,20}+(?:[:-][a-zA-Z0-9]{1,30}+){0,3}+)(?=[\s/>])")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
_PARAGRAPH, _CELL, _LINE = "\n\n", " \t ", "\n"


def tags(text: str) -> Iterator[Edit]:
    """Yield the tags, comments and scripts of a text, in order."""
    ends = _Ends(text)
    at = text.find("<")
    while at >= 0:
        edit = _tag(text, at, ends)
        if edit is not None:
            yield edit
        at = text.find("<", edit[1] if edit else at + 1)


def entities(text: str) -> Iterator[Edit]:
    """Yield the character references of a text, in order."""
    for match in _ENTITY.finditer(text):
        meant = html.unescape(match[0])
        if meant != match[0]:
            yield match.start(), match.end(), meant


class _Ends:
    """Where the next mark of each kind stands, looked for once for all that come before it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, int] = {}

    def next(self, mark: str, at: int) -> int:
        """The first place of ``mark`` from ``at`` on, or the text's end. ``at`` never goes back."""
        found = self._found.get(mark, -1)
        if found < at:
            pattern = _SILENT_END.get(mark)
            if pattern is None:
                found = self._text.find(mark, at)
            else:
                match = pattern.search(self._text, at)
                found = match.start() if match else -1
            found = self._found[mark] = found if found >= 0 else len(self._text)
        return found


def _tag(text: str, at: int, ends: _Ends) -> Edit | None:
    if text.startswith("<!--", at):
        end = ends.next("-->", at)
        return None if end == len(text) else (at, end + 3, "")
    name = _NAME.match(text, at + 1)
    end = ends.next(">", at)
    if name is None or end == len(text) or end - at > TAG_CHARACTERS_MAX:
        return None
    if ends.next("<", at + 1) < end:
        return None
    said = name[1].lower()
    if _SILENT.fullmatch(said):
        closing = text[at + 1] == "/"
        last = end + 1 if closing else max(end + 1, ends.next(said, end))
        return at, last, _PARAGRAPH
    seen = _seen(said, closing=text[at + 1] == "/")
    return None if seen is None else (at, end + 1, seen)


def _seen(name: str, *, closing: bool) -> str | None:
    """What a reader sees of a tag; None where it is none that we know."""
    if name in _INLINE or name.startswith(("ix:", "xbrli:")):
        return ""
    if name in _RAISED:
        return "" if closing else " "
    if name in _CELLS:
        return _CELL
    if name in _LINES:
        return _LINE
    if name in _BLOCK or name.startswith(("link:", "xbrldi:", "xsi:")):
        return _PARAGRAPH
    return None
