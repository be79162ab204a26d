"""Which numbers of a summary do not stand in its source. Pure.

Numbers are compared as values with sign, scale and unit. Tolerant where the meaning is the same:
1,234 = 1234; $1.2 billion = 1,200 million = 1,234 million rounded to the digits shown; 15 % = 15
percent; 150 basis points = 1.5 %; "three" in the source = 3; a bare 1,234 in the source (a table
"in millions") = 1,234 million; a unit that one of both does not say may be any. A number written as
a word in the summary is checked where a scale follows ("two billion"). What is derived (a sum, a
difference) counts as not standing there.

A sign is what is written, "$(38.6) million", or what the nearest word says: a loss told as a profit
and a fall told as a rise do not stand there; "down 5 %" is -5 %. Where nothing is said, nothing is
held against it, but for a number that every place of the source writes as negative.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tickertape.quantities import PERCENT, Number, numbers, same_unit

_LIST_MARK = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]", re.MULTILINE)
_ROUNDED_AT_MOST = 0.05  # of the value: "1 billion" does not stand for 1.4 billion

_BEFORE, _AFTER = 80, 32  # characters in which the word that governs a number is looked for
WORDS_AFTER = 2  # "$5 million net loss", "5% decline"
_CLAUSE_BEFORE = re.compile(r"[.;:!?](?=\s)|,\s|\n\s*\n|\b(?:while|whereas|but)\b", re.IGNORECASE)
_CLAUSE_AFTER = re.compile(
    r"[.,;:!?\n(]|\b(?:and|or|but|from|to|than|compared|versus|against|while|of|in|for|as)\b",
    re.IGNORECASE,
)
_LEVEL = re.compile(
    r"\b(?:(?P<minus>loss(?:es)?(?!\s(?:ratio|rate|reserve|provision))|lost|deficits?|shortfalls?"
    r"|negative|outflows?)|(?P<plus>profits?|profitable|income|earn(?:ed|s|ings?)|gains?|gained"
    r"|surplus(?:es)?|positive|inflows?))\b(?!\s?\()",
    re.IGNORECASE,
)
_DIRECTION = re.compile(
    r"\b(?:(?P<minus>down|fell|falls?|fallen|falling|decreas(?:e|es|ed|ing)|declin(?:e|es|ed|ing)"
    r"|dropp?(?:s|ed|ing)?|lower(?:ed)?|shrank|shr[iu]nk(?:ing)?|reduc(?:ed|tion)|slid|slipped"
    r"|contract(?:ed|ion)|minus)"
    r"|(?P<plus>(?<!made )(?<!make )up(?!\sto\b)|rose|ris(?:e|es|en|ing)|increas(?:e|es|ed|ing)"
    r"|grew|grow(?:s|n|ing|th)?|higher|climb(?:s|ed|ing)?|jump(?:s|ed|ing)?|expand(?:ed|ing)?"
    r"|advanc(?:ed|ing)|surg(?:ed|ing)|rais(?:e|ed|ing)|plus))\b",
    re.IGNORECASE,
)
_BOTH = re.compile(r"\(\s?(?:loss(?:es)?|deficit|decrease|decline)\s?\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is said about a number: -1, 0 (nothing) or 1 each."""

    sign: int  # as written
    level: int  # a loss, a profit
    direction: int  # a fall, a rise


class _Source:
    """The numbers of the source's texts, by value."""

    def __init__(self, texts: Sequence[str]) -> None:
        found = [(number, text) for text in texts for number in numbers(text)]
        self.by_value = _Ordered([(n.value, n, text) for n, text in found])
        self.by_mantissa = _Ordered([(n.mantissa, n, text) for n, text in found if n.scale >= 1.0])
        self.bare = _Ordered(
            [
                (n.value, n, text)
                for n, text in found
                if n.scale == 1.0 and n.figure and n.unit != PERCENT
            ]
        )


class _Ordered:
    """Numbers by a key, each with the text in which it stands."""

    def __init__(self, rows: list[tuple[float, Number, str]]) -> None:
        self._rows = sorted(rows, key=lambda row: row[0])
        self._keys = [row[0] for row in self._rows]

    def near(self, value: float, step: float) -> Iterable[tuple[Number, str]]:
        """Yield those that round to this value at its last digit."""
        slack = max(min(step / 2, _ROUNDED_AT_MOST * abs(value)), 1e-9 * abs(value)) * (1 + 1e-9)
        at = bisect_left(self._keys, value - slack)
        while at < len(self._keys) and self._keys[at] <= value + slack:
            yield self._rows[at][1:]
            at += 1


def unsupported(summary: str, source: Iterable[str]) -> tuple[str, ...]:
    """Return the numbers of ``summary`` that stand in none of the ``source`` texts, as written."""
    summary = _LIST_MARK.sub("", summary)
    claimed = [number for number in numbers(summary) if number.figure]
    if not claimed:
        return ()
    there = _Source(list(source))
    missing = [number.text for number in claimed if not _stands(number, summary, there)]
    return tuple(dict.fromkeys(missing))


def _stands(number: Number, summary: str, source: _Source) -> bool:
    claim = _told(number, summary)
    return any(
        same_unit(number.unit, other.unit) and _agree(claim, _told(other, text))
        for other, text in _same(number, source)
    )


def _same(number: Number, source: _Source) -> Iterable[tuple[Number, str]]:
    """The numbers of the source that have this value."""
    yield from source.by_value.near(number.value, number.step)
    if number.scale == 1.0:  # "between 1.2 and 1.3 billion": the first has no scale of its own
        yield from source.by_mantissa.near(number.mantissa, 0.0)
    elif number.scale > 1.0:
        for unit in (1e3, 1e6, 1e9):
            yield from source.bare.near(number.value / unit, number.step / unit)


def _agree(claim: _Told, fact: _Told) -> bool:
    """Do both say the same, as far as they say anything?"""
    if claim.level * fact.level < 0 or claim.direction * fact.direction < 0:
        return False
    negative = min(claim.sign, claim.level, claim.direction) < 0
    if fact.sign < 0:
        return negative or claim.sign == 0
    if claim.sign < 0:
        return min(fact.sign, fact.level, fact.direction) < 0 or fact.sign == 0
    return True


def _told(number: Number, text: str) -> _Told:
    before = text[max(0, number.start - _BEFORE) : number.start]
    ends = [match.end() for match in _CLAUSE_BEFORE.finditer(before)]
    before = _BOTH.sub(" ", before[ends[-1] :] if ends else before)
    after = text[number.end : number.end + _AFTER]
    stop = _CLAUSE_AFTER.search(after)
    after = " ".join((after[: stop.start()] if stop else after).split()[:WORDS_AFTER])
    level, direction = _said(_LEVEL, before, after), _said(_DIRECTION, before, after)
    if number.sign < 0:  # "income of $(5)", "growth of (5)%"
        level, direction = -1, -abs(direction)
    return _Told(number.sign, level, direction)


def _said(pattern: re.Pattern[str], before: str, after: str) -> int:
    """What the nearest word says: the last one before the number, else the first one after it."""
    found = [*pattern.finditer(before)][-1:] or [*pattern.finditer(after)][:1]
    return 0 if not found else -1 if found[0]["minus"] else 1
