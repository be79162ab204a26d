"""Where the end of a line ends a sentence, and which lines are rows of a table. Pure.

A text may be wrapped at any column, by a mail program or as a page was set. A line that was wrapped
goes on in the next one; a heading, a row or a list item does not. Nor does a paragraph: but where a
text is set with blank lines between all its lines, or a page ends within a sentence, a blank line
is none of its end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")

_BULLET = re.compile(
    r"[-*\u2022\u00b7\u25aa\u25cf\u25e6\u2610\u2611\u2612\u2013\u2014]\s"
    r"|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})[.)]\s"
)
_GOES_ON = (",", ";", "&", "-", "\u2013", "\u2014", "$", "\u20ac", "\u00a3", "(")
_NAME_ENDS = re.compile(r"(?:Inc|Corp|Ltd|LLC|LLP|L\.P|plc|PLC|AG|ASA|N\.A|N\.V|S\.A|Co)\b[.,]?")
# No sentence ends with one of these.
_OPEN_WORDS = frozenset(
    """
    a about after an and approximately are as at be been before between but by compared during
    either ended ending fiscal for from had has have in into is its nearly nor of on or our over per
    than that the their these this through to under until versus was were which while who whose will
    with would
    """.split()  # noqa: SIM905 -- readable as text
)
_NUMERIC = re.compile(
    r"[($\u20ac\u00a3\u00a5+\-\u2013\u2212~]{0,4}\d(?:[\d,.]{0,30}\d)?\)?%?\)?[*\u2020]?"
)
_BETWEEN = frozenset(
    {"$", "\u20ac", "\u00a3", "%", ")%", "|", "\u2014", "\u2013", "-", "n/m", "NM", "nm", "N/A"}
)
_FIGURES = re.compile(r"\d|\.{5}|\. \. |_{5}|\u2026\u2026")  # most lines have none
_LEADERS = re.compile(r"\.{5}|(?:\. ){4}|_{5}|\u2026\u2026")
_CELLS = re.compile(r"\t|\||(?<=\S)[^\S\r\n]{4}")
_LONG_WORD = re.compile(r"[^\W\d_]{4,40}")
_WORD_START = re.compile(r"\S{1,40}")

AROUND = 8  # lines on either side that say how wide a text is set
FILLED = 0.85  # of the width: fonts are not even
USUAL_CHARACTERS = 50  # where nothing says how wide: a line this long was wrapped
LONG_CHARACTERS = 80  # where no line goes on: so long a line did, or it would have a stop
WIDTH_MIN = 16
BREAKS_MIN = 3  # lines of which none goes on: these are no wrapped lines
ROW_CHARACTERS = 400  # of a line, by which it is judged
WORD_CHARACTERS = 30
HALF_FILLED = 0.6  # of the width: less does a line that was wrapped not have
TITLE_WORDS = 5  # of a heading that is as long as the lines around it


def line_ends(text: str) -> list[bool]:
    """Tell for each line break of a text, in order, whether it ends a sentence that is open."""
    at = 0
    lines: list[str] = []
    for match in BREAK.finditer(text):
        lines.append(text[at : match.start()].strip())
        at = match.end()
    if not lines:
        return []
    lines.append(text[at:].strip())
    places = [place for place, line in enumerate(lines) if line]
    setting = _Setting([lines[place] for place in places], [b - a - 1 for a, b in pairwise(places)])
    ends = [True] * (len(lines) - 1)
    for index, (place, after) in enumerate(pairwise(places)):
        if not setting.ends(index):
            ends[place:after] = [False] * (after - place)
    return ends


def unwrapped(text: str) -> str:
    """Return the text with each sentence on one line, as far as its line ends tell."""
    at = 0
    parts: list[str] = []
    for match, ends in zip(BREAK.finditer(text), line_ends(text), strict=True):
        line = text[at : match.start()].strip()
        parts += (line, match[0] if ends else " " if line else "")
        at = match.end()
    return "".join((*parts, text[at:].strip())) if parts else text


def is_row(line: str) -> bool:
    """Tell whether a line is a row of a table: figures side by side, or cells."""
    if not _FIGURES.search(line):
        return False
    if _LEADERS.search(line):
        return True
    tokens = line[:ROW_CHARACTERS].split()
    pairs = figures = others = 0
    before = False
    for token in tokens:
        if _NUMERIC.fullmatch(token):
            figures += 1
            pairs += before
            before = True
        elif token not in _BETWEEN:
            others += 1
            before = False
    if pairs >= 2 or (figures and not others):
        return True
    cells = len(_CELLS.findall(line.strip()[:ROW_CHARACTERS]))
    stopped = line.rstrip().endswith((".", "!", "?"))
    return not stopped and ((pairs == 1 and others <= 8) or (cells >= 2 and figures >= 1))


def is_title(line: str) -> bool:
    """Tell whether a line is set as headings are: its long words begin with capitals."""
    words = _LONG_WORD.findall(line[:ROW_CHARACTERS])
    if line[:1].islower():
        return False
    return len(words) >= 2 and sum(word[0].isupper() for word in words) >= 0.8 * len(words)


def is_shouted(line: str) -> bool:
    """Tell whether a line is all in capitals."""
    return line.isupper() and sum(map(str.isalpha, line[:ROW_CHARACTERS])) >= 4


def is_open(line: str) -> bool:
    """Tell whether no sentence ends as this line does."""
    return line.endswith(_GOES_ON) or line[-WORD_CHARACTERS:].split()[-1].lower() in _OPEN_WORDS


class _Setting:
    """How a text is set: its lines, without the blank ones, and the blank ones after each."""

    def __init__(self, lines: Sequence[str], gaps: Sequence[int]) -> None:
        self._lines = lines
        self._gaps = gaps
        self._rows = [is_row(line) for line in lines]
        self._flows = [
            after[0].islower() and not row and not next_row
            for (row, next_row), after in zip(pairwise(self._rows), lines[1:], strict=True)
        ]
        self._open = [is_open(line) for line in lines]
        self._length = [len(line) for line in lines]

    def ends(self, index: int) -> bool:
        """Tell whether a sentence that is open ends with this line."""
        line, after = self._lines[index], self._lines[index + 1]
        if self._rows[index] or self._rows[index + 1] or _BULLET.match(after):
            return True
        gap = self._gaps[index]
        if gap and gap > self._spacing(index):
            return not self._page_ends(index)
        if after[0].islower() or self._open[index] or _NAME_ENDS.match(after):
            return False
        if line.endswith(":") or is_shouted(line) != is_shouted(after):
            return True
        width = self._width(index, gap)
        first = _WORD_START.match(after)
        if is_title(line) and len(line.split()) >= (TITLE_WORDS if width else 2):
            return True
        if width is None:
            return len(line) < USUAL_CHARACTERS
        if not width:
            return len(line) < LONG_CHARACTERS
        return len(line) + 1 + (len(first[0]) if first else 0) <= FILLED * width

    def _around(self, index: int) -> range:
        return range(max(0, index - AROUND), min(len(self._gaps), index + AROUND))

    def _spacing(self, index: int) -> int:
        """How many blank lines stand between the lines of one sentence around here: 0 where this
        line is not filled as a wrapped one is, or others do not go on over blank lines."""
        gap, length = self._gaps[index], self._length
        if length[index] < HALF_FILLED * WIDTH_MIN:
            return 0
        around = [at for at in self._around(index) if not self._rows[at]]
        widest = max(length[at] for at in around)
        if length[index] < HALF_FILLED * widest or widest < WIDTH_MIN:
            return 0
        alike = [at for at in around if self._gaps[at] == gap and at != index]
        flowing = [at for at in alike if self._flows[at] or self._open[at]]
        filled = sum(length[at] >= HALF_FILLED * widest for at in flowing)
        enough = filled * 3 >= len(alike) and (filled > 1 or len(alike) < 3)
        return gap if filled and enough and filled >= 0.8 * len(flowing) else 0

    def _page_ends(self, index: int) -> bool:
        """Tell whether a page ends within a sentence: it is open, and goes on in small letters."""
        line, after = self._lines[index], self._lines[index + 1]
        if not after[0].islower() or line.endswith((":", ";", ".", "!", "?")):
            return False
        width = self._width(index, 0)
        return self._open[index] or bool(width and self._length[index] > FILLED * width)

    def _width(self, index: int, gap: int) -> int | None:
        """How wide the text is set around a line: 0 where no line goes on in the next one, None
        where there are too few lines to tell. ``gap``: the blank lines between its lines."""
        widest = wrapped = breaks = 0
        for at in self._around(index):
            if self._rows[at]:
                continue
            widest = max(widest, len(self._lines[at]))
            if self._gaps[at] == gap and not self._rows[at + 1] and at != index:
                breaks += 1
                wrapped += self._flows[at]
        if wrapped and wrapped * 4 >= breaks:
            return widest if widest >= WIDTH_MIN else 0
        return 0 if breaks >= BREAKS_MIN else None
