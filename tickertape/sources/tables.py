"""A table of a web page as rows that repeat their headings, so that a figure is found with its
meaning: ``REVENUES > Total revenues | 2023: $67,954 | 2022: $58,100``. Pure.

Filings have no <th>: rows before the first row of figures are headings, cells span columns, and a
dollar sign or a bracket has a cell of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

_FIGURE = re.compile(
    r"[($\u20ac\u00a3\u00a5+\-\u2013\u2014\s]{0,9}[\d.,]{1,30}[)%x\s]{0,6}(?:bps|pp)?[)\s]{0,6}"
)
_YEAR = re.compile(r"\s{0,9}(?:19|20)\d\d\s{0,9}")
_OPENS = re.compile(r"[$\u20ac\u00a3\u00a5(\s]{1,9}")
_CLOSES = re.compile(r"[)%\s]{1,9}")
SPAN_MAX = 1000  # HTML's own limit of colspan
ROWS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in the columns [start, end). ``head``: it is marked as a heading."""

    start: int
    end: int
    text: str
    head: bool = False


Rows = Sequence[Sequence[Cell]]


def lines(rows: Rows) -> Iterator[str]:
    """Yield a line for each row of figures or texts, with the headings that stand over its cells
    and before it. A table of one column, or of one row, is text in order."""
    glued = [found for row in rows if (found := list(_glued(row)))]
    begin = _first(glued)
    headings, body = glued[:begin], glued[begin:]
    if not body or max(len(row) for row in glued) < 2:
        yield from (" ".join(cell.text for cell in row) for row in glued)
        return
    left = min(row[0].start for row in body)
    label_end = min((row[1].start for row in body if len(row) > 1), default=left + 1)
    corners = [c.text for row in headings for c in row if c.end <= label_end]
    corner = " ".join(dict.fromkeys(corners))  # one over two rows is in both
    over = [[cell for cell in row if cell.end > label_end] for row in headings]
    section = ""
    for row in body:
        label = row[0].text if row[0].start < label_end else ""
        values = [cell for cell in row if cell.start >= label_end]
        if not values:
            section = label
            continue
        said = [f"{head}: {v.text}" if (head := _over(v, over)) else v.text for v in values]
        before = " > ".join(part for part in (corner, section, label) if part)
        yield " | ".join([before, *said] if before else said)


def grid(rows: Iterable[Sequence[tuple[str, int, int, bool]]]) -> list[list[Cell]]:
    """Return rows of cells from (text, colspan, rowspan, is a heading) as HTML has them."""
    found: list[list[Cell]] = []
    held: list[tuple[Cell, int]] = []  # cells that reach into the rows below, and how many
    for row in rows:
        if len(found) >= ROWS_MAX:
            break
        cells = [cell for cell, _ in held]
        taken = {column for cell in cells for column in range(cell.start, cell.end)}
        next_held = [(cell, left - 1) for cell, left in held if left > 1]
        at = 0
        for text, across, down, head in row:
            while at in taken:
                at += 1
            across = min(max(across, 1), SPAN_MAX)
            cell = Cell(at, at + across, text, head)
            cells.append(cell)
            if down > 1:
                next_held.append((cell, min(down, ROWS_MAX) - 1))
            at += across
        held = next_held
        found.append(sorted(cells, key=lambda cell: cell.start))
    return found


def _glued(row: Sequence[Cell]) -> Iterator[Cell]:
    """The cells that hold something, with signs beside their figures."""
    opened: Cell | None = None
    last: Cell | None = None
    for cell in row:
        text = cell.text.strip()
        if not text:
            continue
        if _OPENS.fullmatch(text):
            opened = cell if opened is None else replace(opened, text=opened.text + text)
            continue
        if last is not None and _CLOSES.fullmatch(text):
            last = replace(last, text=last.text + text, end=cell.end)
            continue
        if last is not None:
            yield last
        last = replace(cell, text=text)
        if opened is not None:
            last = replace(last, start=opened.start, text=opened.text.strip() + text)
            opened = None
    if last is not None:
        yield last


def _first(rows: Rows) -> int:
    """Where the headings end: at the first row with a figure that is no year, not marked as one."""
    for number, row in enumerate(rows):
        if all(cell.head for cell in row):
            continue
        marked = number > 0 and all(cell.head for before in rows[:number] for cell in before)
        figures = [c for c in row[1:] if _FIGURE.fullmatch(c.text) and not _YEAR.fullmatch(c.text)]
        if marked or figures:
            # A row that has no values is the section of those that follow
            while number and len(rows[number - 1]) == 1 and not rows[number - 1][0].head:
                if number == 1 or rows[number - 1][0].start > row[0].start:
                    break
                number -= 1
            return number
    return 1 if len(rows) > 1 and len(rows[0]) > 1 else 0


def _over(value: Cell, headings: Rows) -> str:
    """The heading of each row that overlaps the value most."""
    said: list[str] = []
    for row in headings:
        best = max(row, key=lambda cell: _overlap(cell, value), default=None)
        if best is not None and _overlap(best, value) > 0 and best.text not in said:
            said.append(best.text)
    return " ".join(said)


def _overlap(one: Cell, other: Cell) -> int:
    return min(one.end, other.end) - max(one.start, other.start)
