"""A web page as its reader sees it: blocks of text, headings, tables as rows with their headings.
Scripts, navigation and what is not shown are left out. The parser is lxml's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import lxml.etree
import lxml.html

from tickertape.sources import tables
from tickertape.values import clean

_SILENT = frozenset(
    """
    script style noscript template iframe object embed svg canvas video audio map nav aside form
    button input select textarea dialog head meta link ix:header
    """.split()  # noqa: SIM905 -- readable as text
)
_BLOCKS = frozenset(
    """
    address article blockquote body caption center dd details div dl dt fieldset figcaption
    figure footer h1 h2 h3 h4 h5 h6 header hr html li main ol p pre section summary ul
    """.split()  # noqa: SIM905 -- readable as text
)
_FURNITURE = frozenset({"header", "footer"})  # of the page; of an article they say something
_HIDDEN = re.compile(r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden", re.IGNORECASE)
_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "menu", "dialog", "alert"})
_BLANKS = re.compile(r"[^\S\n]+")


@dataclass(slots=True)
class WebPage:
    """What a page says. ``headings`` are those of its own, in order."""

    text: str
    title: str | None = None
    language: str | None = None
    headings: list[str] = field(default_factory=list)


def read(data: bytes, encoding: str | None = None) -> WebPage:
    """Return what a page says; an empty text where that is nothing.

    Raises:
        ValueError: it is no page.
    """
    parser = lxml.html.HTMLParser(encoding=encoding, huge_tree=True, remove_comments=True)
    try:
        tree = lxml.html.document_fromstring(data, parser=parser)
    except (lxml.etree.LxmlError, ValueError) as error:
        raise ValueError(f"not a web page: {' '.join(str(error).split())[:200]}") from None
    if any("Excessive depth" in entry.message for entry in parser.error_log):
        raise ValueError("tags nest over 2,000 deep")  # what is deeper is not in the tree
    title = tree.findtext(".//title")
    for node in list(tree.iter()):
        if node is not tree and (not isinstance(node.tag, str) or _unseen(node)):
            node.drop_tree()
    writer = _Writer()
    body = tree.find(".//body")
    writer.walk(tree if body is None else body)
    return WebPage(
        clean(writer.finish()),
        clean(" ".join(title.split())) if title and title.strip() else None,
        tree.get("lang"),
        writer.headings,
    )


class _Writer:
    """Collects blocks of text."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._words: list[str] = []
        self._as_written = 0  # depth of <pre>
        self.headings: list[str] = []

    def finish(self) -> str:
        self._end()
        return "\n\n".join(self._blocks)

    def walk(self, top: Any) -> None:
        """Go through the tree without recursion: pages nest without bound."""
        stack: list[tuple[Any, bool]] = [(top, False)]
        while stack:
            node, done = stack.pop()
            if done:
                self._close(node)
                if node is not top:
                    self._say(node.tail)
                continue
            name = node.tag
            if name == "table" and _is_table(node):
                self._table(node)
                self._say(node.tail)
                continue
            if name in _BLOCKS or name in {"table", "tr"}:
                self._end()
            elif name == "br":
                self._words.append("\n")
            elif name in {"td", "th"}:
                self._words.append(" ")
            if name == "li":
                self._words.append("- ")
            self._as_written += name == "pre"
            self._say(node.text)
            stack.append((node, True))
            stack += [(child, False) for child in reversed(node)]

    def _say(self, text: str | None) -> None:
        if text:
            self._words.append(text if self._as_written else text.replace("\n", " "))

    def _close(self, node: Any) -> None:
        name = node.tag
        self._as_written -= name == "pre"
        if name in _BLOCKS or name in {"table", "tr"}:
            text = self._end()
            if text and re.fullmatch("h[1-6]", name):
                self.headings.append(text)

    def _end(self) -> str:
        """End the block that is being collected, and return it."""
        if not self._words:
            return ""
        lines = _BLANKS.sub(" ", "".join(self._words)).split("\n")
        self._words = []
        text = "\n".join(line.strip() for line in lines if line.strip())
        if text and text != "-":
            self._blocks.append(text)
        return text

    def _table(self, table: Any) -> None:
        self._end()
        caption = table.find("caption")
        if caption is not None and (text := _text(caption)):
            self._blocks.append(text)
        found = "\n".join(line for line in tables.lines(tables.grid(_rows(table))) if line)
        if found:
            self._blocks.append(found)


def _unseen(node: Any) -> bool:
    name = node.tag
    if name in _SILENT or node.get("hidden") is not None or node.get("aria-hidden") == "true":
        return True
    if name in _FURNITURE and node.getparent() is not None and node.getparent().tag == "body":
        return True
    if node.get("role", "") in _ROLES:
        return True
    return _HIDDEN.search(node.get("style", "")) is not None


def _is_table(table: Any) -> bool:
    """Not what only lays a page out: that has other tables, or blocks of text, in its cells."""
    return next(table.iter("h1", "h2", "h3", "li"), None) is None and not any(
        inner is not table for inner in table.iter("table")
    )


def _rows(table: Any) -> Iterator[list[tuple[str, int, int, bool]]]:
    for row in table.iter("tr"):
        if _HIDDEN.search(row.get("style", "")):
            continue
        yield [
            (_text(cell), _span(cell, "colspan"), _span(cell, "rowspan"), cell.tag == "th")
            for cell in row
            if cell.tag in {"td", "th"}
        ]


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "1").strip()
    return int(value) if value.isdigit() and len(value) < 6 else 1


def _text(node: Any) -> str:
    """The text of a node in one line; filings split words over spans."""
    parts = []
    for inner in node.iter():
        if inner.tag in {"br", "p", "div", "li"}:
            parts.append(" ")
        parts.append(inner.text or "")
        if inner is not node:
            parts.append(inner.tail or "")
    return " ".join("".join(parts).split())
