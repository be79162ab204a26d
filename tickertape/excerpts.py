"""The part of a passage that answers: whole sentences, or where one is long, whole words. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tickertape.chunking import sentences
from tickertape.stores import words

LIMIT = 320  # characters
MORE = "\u2026"  # where something is left out
_WORD = re.compile(r"\S+")

Span = tuple[int, int]


def excerpt(text: str, stems: Sequence[str], limit: int = LIMIT) -> str:
    """Return what of the text has most of these stems, on one line; the beginning where it has
    none."""
    if len(" ".join(text.split())) <= limit:
        return " ".join(text.split())
    wanted = frozenset(stems)
    spans = sentences(text)
    found = [_there(text[start:end], wanted) for start, end in spans]
    best = max(range(len(spans)), key=lambda n: (len(found[n]), -n), default=0)
    if not spans:
        return _cut(text, (0, len(text)), wanted, limit)
    start, end = spans[best]
    if end - start > limit:
        return _cut(text, (start, end), wanted, limit)
    # Neighbours that fit: first the one that says more of what is asked.
    low = high = best
    while True:
        ways = [
            (len(found[n] - _union(found[low : high + 1])), n > high, n)
            for n in (low - 1, high + 1)
            if 0 <= n < len(spans) and max(end, spans[n][1]) - min(start, spans[n][0]) <= limit
        ]
        if not ways:
            break
        _, _, n = max(ways)
        low, high = min(low, n), max(high, n)
        start, end = spans[low][0], spans[high][1]
    return _marked(text, start, end)


def _cut(text: str, span: Span, wanted: frozenset[str], limit: int) -> str:
    """Whole words of one long sentence: the run that has most of what is asked."""
    spans = [
        (span[0] + match.start(), span[0] + match.end())
        for match in _WORD.finditer(text[span[0] : span[1]])
    ]
    has = [_there(text[start:end], wanted) for start, end in spans]
    low = high = at = 0
    most = len(has[0]) if has else 0
    for end in range(len(spans)):  # the shortest run with the most
        while at < end and (spans[end][1] - spans[at][0] > limit or not has[at]):
            at += 1
        if (told := len(_union(has[at : end + 1]))) > most:
            low, high, most = at, end, told
    while True:  # and what fits beside it, on both sides
        wider = [
            (low - before, high + after)
            for before, after in ((1, 1), (0, 1), (1, 0))
            if low >= before and high + after < len(spans)
        ]
        fitting = [
            (first, last) for first, last in wider if spans[last][1] - spans[first][0] <= limit
        ]
        if not fitting:
            break
        low, high = fitting[0]
    start, end = (spans[low][0], spans[high][1]) if spans else span
    return _marked(text, start, min(end, start + limit))  # one endless word is cut


def _there(text: str, wanted: frozenset[str]) -> frozenset[str]:
    return wanted.intersection(words.read(text))


def _union(sets: Sequence[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


def _marked(text: str, start: int, end: int) -> str:
    shown = " ".join(text[start:end].split())
    before = MORE if text[:start].strip() else ""
    after = MORE if text[end:].strip() else ""
    return f"{before}{shown}{after}"
