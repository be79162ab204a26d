"""Cutting a text into sentences, and into chunks that fit the model. Pure.

Nothing is ever cut off: every character that is not a space lies in a chunk. The text is
tokenised once, by the caller; a chunk takes its slice of those ids.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tickertape.embed.base import Tokens
from tickertape.lines import BREAK, line_ends
from tickertape.text import bare

Span = tuple[int, int]  # start and end, in characters of the text


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Abbreviations that never end a sentence,
_TITLES = _words(
    "mr mrs ms mx dr prof gen sen rep gov hon st ft mt vs v cf e.g i.e viz approx al ca incl resp "
    "messrs capt lt col sgt"
)
# those that do not before a number ("No. 5", "Fig. 2", "Jan. 31"),
_NUMBERED = _words(
    "no nos rs fig figs eq vol art sec ch p pp para jan feb mar apr jun jul aug sep sept oct nov"
    " dec vj"
)
# and those that do only before a word that begins sentences ("Apple Inc. The company").
_NAMES = _words("inc corp ltd co cos plc llc bros intl dept div assn etc jr sr ph.d mio mrd tsd")
_STARTERS = _words(
    "a after all although an and as at because before both but by during each excluding finally "
    "first for from gross he her his how however i if in including it its last looking management "
    "many meanwhile moreover most my net next nor now on operating our overall revenue revenues "
    "sales second several she since so some that the their then there these they this those thus "
    "to today total under until we what when where whether which while who with yes yesterday "
    "you your"
)

# A possible end: the stops, with the quotes and brackets that close behind them, before a
# space or the end. Full-width stops need no space. Or a line break. A run of stops is tried
# once (look-behind, possessive), so that the work grows with the text and no faster.
_BREAKS = frozenset("\n\r\x0b\x0c\x85\u2028\u2029")
_WIDE_STOPS = frozenset("\u3002\uff01\uff1f")
_OPENING = "\"'\u201c\u2018(\\[\u00ab"
_STOP = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"'\u201d\u2019)\]\u00bb]*+(?=\s|\Z)"
    r"|[\u3002\uff01\uff1f]+[\u201d\u2019\u300d\u300f\uff09]*"
    rf"|{BREAK.pattern}"
)
_NEXT_WORD = re.compile(rf"\s*[{_OPENING}]*([^\W_]*)")
# A German ordinal's noun: "im 3. Quartal", "am 5. Mai"; months of an English name with their year.
_COUNTED = re.compile(
    "\\s(?:Quartal|Halbjahr|Januar|Februar|M\u00e4rz|Mai|Juni|Juli|Oktober|Dezember"
    "|(?:April|August|September|November)\\s\\d{4})\\b"
)
_INITIALS = re.compile(r"[A-Za-z](?:\.[A-Za-z])*")  # "J", "U.S", "p.m"
_WORD_CHARS = 24  # how far back an abbreviation is looked for


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text: its characters ``[start, end)`` and its tokens, no special ones."""

    start: int
    end: int
    ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, or a piece of one that is over the limit. Never cut further."""

    start: int
    end: int
    token: int
    token_end: int

    @property
    def size(self) -> int:
        return self.token_end - self.token


def sentences(text: str) -> list[Span]:
    """Return the sentences as spans, in order, disjoint, without the spaces around them.

    Every character that is not a space lies in one. A line break ends a sentence where the
    line was not merely wrapped (`tickertape.lines`).
    """
    spans: list[Span] = []
    start = 0
    lines = iter(line_ends(text))
    for match in _STOP.finditer(text):
        ends = next(lines) if match[0][0] in _BREAKS else _stop_ends(text, start, match)
        if ends:
            _append(spans, text, start, match.end())
            start = match.end()
    _append(spans, text, start, len(text))
    return spans


def chunk(text: str, tokens: Tokens, limit: int, overlap: int = 0) -> list[Chunk]:
    """Return the chunks of ``text``, in order, each of at most ``limit`` tokens.

    Args:
        text: What was tokenised.
        tokens: Its tokens, without special ones.
        limit: Most tokens of a chunk: the model's limit less its special tokens.
        overlap: Most tokens that a chunk repeats of the one before it, in whole sentences;
            fewer where the sentence that is new to the chunk would not fit beside them.

    A sentence over the limit is cut between words, or between tokens in an endless word.
    A text of spaces only has no chunks; one whose characters give no tokens has one without ids.

    Raises:
        ValueError: ``limit`` is not positive.
    """
    if limit < 1:
        raise ValueError(f"limit: expected a positive number of tokens, got {limit}")
    if len(tokens.ids) <= limit:  # most texts: no sentence need be known
        start, end = bare(text, 0, len(text))
        return [] if not text or text.isspace() else [Chunk(start, end, tokens.ids)]
    return _chunks(text, tokens, limit, overlap)


def _chunks(text: str, tokens: Tokens, limit: int, overlap: int) -> list[Chunk]:
    """The chunks of a text of any length, by its sentences."""
    units = _units(text, tokens, limit)
    chunks: list[Chunk] = []
    first = end = 0
    while end < len(units):
        count = sum(unit.size for unit in units[first:end])
        while end < len(units) and count + units[end].size <= limit:
            count += units[end].size
            end += 1
        ids = tokens.ids[units[first].token : units[end - 1].token_end]
        chunks.append(Chunk(units[first].start, units[end - 1].end, ids))
        if end < len(units):
            first = _repeat_from(units, first, end, min(overlap, limit - units[end].size))
    return chunks


def _repeat_from(units: Sequence[_Unit], first: int, end: int, room: int) -> int:
    """The first of the units before ``end`` that the next chunk repeats; after ``first``."""
    at = end
    while at - 1 > first and units[at - 1].size <= room:
        at -= 1
        room -= units[at].size
    return at


def _units(text: str, tokens: Tokens, limit: int) -> list[_Unit]:
    spans = sentences(text)
    if not spans:
        return []
    # A token belongs to the sentence in which it ends: some tokenisers give a word the space
    # before it. Ends are made to grow, because a normaliser may move marks about.
    ends = array("i", accumulate((end for _, end in tokens.offsets), max))
    firsts = [0, *(bisect_right(ends, start) for start, _ in spans[1:]), len(tokens.ids)]
    units: list[_Unit] = []
    for (start, end), (token, token_end) in zip(spans, pairwise(firsts), strict=True):
        if token_end - token <= limit:
            units.append(_Unit(start, end, token, token_end))
        else:
            units.extend(_pieces(text, tokens, ends, _Unit(start, end, token, token_end), limit))
    return units


def _pieces(
    text: str, tokens: Tokens, ends: Sequence[int], unit: _Unit, limit: int
) -> Iterator[_Unit]:
    """Cut one long unit. Characters without a token stay with the piece before them."""
    start, token = unit.start, unit.token
    while unit.token_end - token > limit:
        cut = _word_start(text, tokens, token, token + limit)
        next_start = min(max(tokens.offsets[cut][0], start), unit.end)
        end = min(max(next_start, ends[cut - 1]), unit.end)
        yield _Unit(*bare(text, start, end), token, cut)
        start, token = next_start, cut
    yield _Unit(*bare(text, start, unit.end), token, unit.token_end)


def _word_start(text: str, tokens: Tokens, first: int, last: int) -> int:
    """The last token in the second half of ``(first, last]`` that begins a word, else ``last``."""
    for index in range(last, first + (last - first) // 2, -1):
        start, previous_end = tokens.offsets[index][0], tokens.offsets[index - 1][1]
        if start > previous_end or text[start : start + 1].isspace():
            return index
    return last


def _stop_ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Does the sentence that began at ``start`` end at this stop?"""
    if match[0][0] in _WIDE_STOPS or match.end() == len(text):
        return True
    following = _NEXT_WORD.match(text, match.end())
    word = following[1] if following else ""
    if word[:1].islower():
        return False
    if match[0][0] != "." or match[0].startswith(".."):
        return True
    at = match.start()
    head = text[max(start, at - _WORD_CHARS) : at].split()
    before = head[-1].lstrip(_OPENING + "$") if head else ""
    if before.isdigit() and len(before) < 3 and _COUNTED.match(text, match.end()):
        return False
    return _word_ends(before, word, opening=len(head) == 1)


def _word_ends(before: str, word: str, *, opening: bool) -> bool:
    """Does a full stop between these words end a sentence? ``opening``: ``before`` begins it."""
    plain = before.lower()
    if opening and (before.isdigit() or len(before) == 1):  # "1. Revenue", "A. General"
        return False
    if plain in _TITLES or (plain in _NUMBERED and word[:1].isdigit()):
        return False
    if plain in _NAMES or _INITIALS.fullmatch(before):
        return word.lower() in _STARTERS
    return True


def _append(spans: list[Span], text: str, start: int, end: int) -> None:
    start, end = bare(text, start, end)
    if not text[start:end].isspace() and start < end:
        spans.append((start, end))
