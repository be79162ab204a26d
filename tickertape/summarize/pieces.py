"""Cutting a text into sentences of a bounded length. Pure."""

from __future__ import annotations

import re

from tickertape.chunking import Span, sentences

_SPACE = re.compile(r"\s")


def pieces(text: str, characters_max: int) -> list[Span]:
    """Return the sentences as spans; one that is too long as several, cut at a space if any.

    In order, disjoint, without the spaces around them; every other character lies in one.
    """
    found = []
    for start, end in sentences(text):
        while end - start > characters_max:
            cut = _last_space(text, start, start + characters_max)
            found.append(_stripped(text, start, cut))
            start = cut
        found.append(_stripped(text, start, end))
    return [(start, end) for start, end in found if end > start]


def _last_space(text: str, start: int, limit: int) -> int:
    spaces = [match.start() for match in _SPACE.finditer(text, start + 1, limit)]
    return spaces[-1] if spaces else limit


def _stripped(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
