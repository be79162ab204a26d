"""The one place where text is made comparable before it is searched, embedded and summarised. Pure.

What is stored, published as a passage and hashed stays as it came, byte for byte; only the eyes
that read it are these. `readable` leaves out what no reader sees (invisible characters, tags, the
hyphen and break inside a word at a line's end) and reads entities. `comparable` also gives one form
to what looks alike (compatibility forms, ligatures, full-width letters, composed accents). Both
know where in the given text each of their characters stands.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from tickertape.markup import Edit, entities, tags

Span = tuple[int, int]  # start and end, in characters

# Control characters that are no space, soft hyphens, zero-width and direction marks, variation
# selectors, fillers.
_UNSEEN = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ufffe"
    "\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_UNSEEN}]+")
_VISIBLE = re.compile(f"[^{_UNSEEN}\\s]")
# The same for other engines, whose \s is not Python's: what a JSON Schema says of a text.
VISIBLE_PATTERN = f"[^{_UNSEEN}\\s\x1c-\x1f\x85]"
_TO_DO = re.compile(f"[<&{_UNSEEN}]|[-\u2010\u2011][ \t]{{0,3}}[\r\n]")  # else it is read as it is
# The hyphen at a line's end, or a page's; some PDF readers leave U+FFFE or U+0002 for both.
_HYPHENATED = re.compile(
    "(?<=[^\\W_])(?:[-\u2010\u2011\u00ad][ \t]{0,3}\r{0,2}\n|[\ufffe\x02][ \t]{0,3}(?:\r{0,2}\n)?)"
    "(?:[ \t]{0,40}(?=[^\\W_])|(?:[ \t]{0,40}\r{0,2}\n){1,2}[ \t]{0,40}(?=[a-z\u00df-\u00ff]))"
)
_SOFT = "\u00ad"
_WORD_CHARACTERS = 24  # of a word on either side of a line-end hyphen
_LEFT = re.compile(r"(?<![^\W\d_])[^\W\d_]{1,24}\Z")
_RIGHT = re.compile(r"[^\W\d_]{1,24}")
# A word that begins with one of these keeps its hyphen at a line's end ("long-" "term").
_COMPOUNDS = frozenset(
    """
    long short mid year quarter month week day full half first second third fourth fifth non pre
    post self high higher low lower well best like same store off on in out over under co ex
    anti multi cross cash tax debt cost price market value risk share stock asset interest fixed
    variable real large small double single two three four five six seven eight nine ten twelve
    fifteen twenty thirty forty fifty sixty seventy eighty ninety point sub semi macro micro
    ultra up down back top end to by of per all one
    """.split()  # noqa: SIM905 -- readable as text
)
# The marks before the lines of a text that a mail program quoted
_QUOTED = re.compile(r"^(?:>[ \t]?){1,8}", re.MULTILINE)
# A picture inside a text: no reader reads its letters.
_PICTURE = re.compile(
    r"data:[a-z]{1,20}/[\w.+-]{1,60}(?:;[\w=-]{1,40}){0,3};base64,[A-Za-z0-9+/=]{64,}+"
)
# Runs that may have another form, each with the character that its marks may sit on.
_WIDE = re.compile("[\x00-\x7f]?[^\x00-\x7f]+")
_PLAIN = {"\u2010": "-", "\u2011": "-", "\u2212": "-", "\u2122": "", "\u2120": ""}  # dashes, TM
_KEPT = "\uff01\uff1f\uff0e\uff61"  # full-width stops: they end a sentence without a space
_APART = ("<super>", "<circle>", "<fraction>", "<square>")  # footnote marks, trade marks, 1/2
_JAMO = re.compile("[\u1160-\u11ff\ud7b0-\ud7fb]")  # go with the syllable before them


class Reading:
    """A text as it is read, and where its characters stand in the given one.

    ``text`` is the given text where nothing had to be done.
    """

    __slots__ = ("_below", "_ends", "_froms", "_source", "_starts", "_tos", "text")

    def __init__(
        self, source: str, edits: Iterable[Edit] = (), below: Reading | None = None
    ) -> None:
        """``edits`` are disjoint and in order. ``below`` is what ``source`` was read from."""
        self._source = source
        self._below = below
        self._froms: list[int] = []  # where each edit begins in the source, and ends,
        self._tos: list[int] = []
        self._starts: list[int] = []  # and where what stands for it begins in the text, and ends
        self._ends: list[int] = []
        parts: list[str] = []
        at = length = 0
        for start, end, seen in edits:
            parts += (source[at:start], seen)
            length += start - at
            self._froms.append(start)
            self._tos.append(end)
            self._starts.append(length)
            length += len(seen)
            self._ends.append(length)
            at = end
        self.text = "".join((*parts, source[at:])) if parts else source

    def start(self, place: int) -> int:
        """Where the character at ``place`` begins in the given text."""
        index = bisect_right(self._starts, place) - 1
        if index >= 0:
            inside = place < self._ends[index]
            place = self._froms[index] if inside else place - self._ends[index] + self._tos[index]
        return place if self._below is None else self._below.start(place)

    def end(self, place: int) -> int:
        """Where the character before ``place`` ends in the given text."""
        index = bisect_left(self._starts, place) - 1
        if index >= 0:
            inside = place <= self._ends[index]
            place = self._tos[index] if inside else place - self._ends[index] + self._tos[index]
        return place if self._below is None else self._below.end(place)

    def spans(self, spans: Sequence[Span]) -> Sequence[Span]:
        """Return where these spans stand in the given text, without spaces around them.

        Together they hold every character that is not a space, whatever was left out of the
        reading: it goes with the span before it. Spans grow at both ends, and may overlap.
        """
        if self.text is self._source and self._below is None:
            return spans
        given = self._given
        found: list[Span] = []
        for number, (start, end) in enumerate(spans):
            begin = 0 if number == 0 else self.start(start)
            if number + 1 == len(spans):
                finish = len(given)
            else:
                # What follows the span belongs to it, up to the next character that is seen.
                finish = self.start(end + _blanks(self.text, end))
            finish = max(finish, self.end(end))
            found.append(bare(given, begin, finish))
        return found

    @property
    def _given(self) -> str:
        return self._source if self._below is None else self._below._given


def readable(text: str) -> Reading:
    """Return the text as a reader sees it: without invisible characters and tags, words whole.

    A text of which nothing is left is read as it is.
    """
    if _TO_DO.search(text) is None and ";base64," not in text and "\n>" not in text:
        return Reading(text)
    reading = Reading(text, _disjoint([*tags(text), *entities(text), *_breaks(text)]))
    return Reading(text) if not reading.text.strip() else reading


def comparable(text: str) -> Reading:
    """Return the text in the form in which texts are compared: readable, and what looks alike is
    alike (NFKC, with footnote marks and fractions apart from the figure before them)."""
    reading = readable(text)
    if reading.text.isascii():
        return reading
    edits = list(_folds(reading.text))
    return Reading(reading.text, edits, reading) if edits else reading


def blank(text: str) -> bool:
    """Tell whether a reader sees nothing: spaces and invisible characters alone."""
    return _VISIBLE.search(text) is None


def broken_words(text: str) -> Iterator[tuple[str, str]]:
    """Yield the two halves of each word that a line's end breaks: it may have been two words."""
    for match in _HYPHENATED.finditer(text):
        left = _LEFT.search(text, max(0, match.start() - _WORD_CHARACTERS), match.start())
        right = _RIGHT.match(text, match.end())
        if left and right:
            yield left[0], right[0]


def _breaks(text: str) -> Iterator[Edit]:
    """Invisible characters, pictures, marks of quoting, and hyphens at the end of a line."""
    if len(quoted := [match.span() for match in _QUOTED.finditer(text)]) > 1:
        yield from ((start, end, "") for start, end in quoted)
    if ";base64," in text:
        for match in _PICTURE.finditer(text):
            yield match.start(), match.end(), ""
    for match in _HYPHENATED.finditer(text):
        yield match.start(), match.end(), _joint(text, match)
    for match in _INVISIBLE.finditer(text):
        yield match.start(), match.end(), ""


def _joint(text: str, match: re.Match[str]) -> str:
    """What stands between the halves of a word: nothing, or the hyphen of a compound."""
    if match[0][0] == _SOFT:
        return ""
    left = _LEFT.search(text, max(0, match.start() - _WORD_CHARACTERS), match.start())
    if left is None or not text[match.end()].islower() or len(left[0]) < 2:
        return "-"
    begins = text[left.start() - 1 : left.start()] == "-"  # "year-over-" "year"
    compound = begins or left[0].lower() in _COMPOUNDS or not left[0][1:].islower()
    return "-" if compound else ""


def _disjoint(edits: list[Edit]) -> Iterator[Edit]:
    """In order; of two that overlap, the one that begins first, the longer of equals."""
    done = 0
    for edit in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
        if edit[0] >= done:
            yield edit
            done = edit[1]


def _folds(text: str) -> Iterator[Edit]:
    for match in _WIDE.finditer(text):
        run = match[0]
        if unicodedata.is_normalized("NFKC", run) and not any(one in run for one in _PLAIN):
            continue
        at = match.start()
        before = text[at - 1 : at] if at else ""
        for cluster in _clusters(run):
            folded = _folded(cluster, before)
            if folded != cluster:
                yield at, at + len(cluster), folded
            before = cluster[-1]
            at += len(cluster)


def _clusters(run: str) -> Iterator[str]:
    """Characters, each with the marks that sit on it."""
    start = 0
    for place in range(1, len(run) + 1):
        more = place < len(run) and (
            unicodedata.category(run[place])[0] == "M" or _JAMO.match(run[place])
        )
        if not more:
            yield run[start:place]
            start = place


def _folded(cluster: str, before: str) -> str:
    if cluster in _PLAIN:
        return _PLAIN[cluster]
    if cluster in _KEPT:
        return cluster
    folded = unicodedata.normalize("NFKC", cluster)
    kind = unicodedata.decomposition(cluster[0])
    if kind.startswith(_APART):
        folded = folded.replace("\u2044", "/")
        follows = before.isalnum() and not unicodedata.decomposition(before).startswith("<super>")
        return f" {folded}" if follows else folded
    return folded


def _blanks(text: str, at: int) -> int:
    """How many spaces stand at ``at``."""
    end = at
    while end < len(text) and text[end].isspace():
        end += 1
    return end - at


def bare(text: str, start: int, end: int) -> Span:
    """Return the span less the spaces at both ends, unless it holds nothing else."""
    piece = text[start:end]
    kept = piece.strip()
    if not kept:
        return start, end
    begin = start + len(piece) - len(piece.lstrip())
    return begin, begin + len(kept)
