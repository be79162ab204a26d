"""Which numbers of a summary do not stand in its source. Pure.

Numbers are compared as values with sign, scale and unit. Tolerant where the meaning is the same:
1,234 = 1234; $1.2 billion = 1,200 million = 1,234 million rounded to the digits shown; 15 % = 15
percent; 150 basis points = 1.5 %; "three" in the source = 3; a bare 1,234 in the source = 1,234
million where that says "in millions", or has it in a table's row; 1.2 in "1.2 to 1.3 billion" = 1.2
billion; a unit that one of both does not say may be any. A number written as
a word in the summary is checked where a scale follows ("two billion"). What is derived (a sum, a
difference) counts as not standing there.

A sign is what is written, "$(38.6) million", or what the words around it say (`tickertape.told`): a
loss told as a profit, an outflow as an inflow, a fall as a rise do not stand there. Where nothing
is said, nothing is held against it, unless another place with that value says the opposite.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise

from tickertape.lines import is_row, unwrapped
from tickertape.quantities import Number, numbers, readings, same_unit
from tickertape.told import agree, told
from tickertape.units import AHEAD, PERCENT, SCALES

_LIST_MARK = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]", re.MULTILINE)
_ROUNDED_AT_MOST = 0.05  # of the value: "1 billion" does not stand for 1.4 billion
_PLACES_MAX = 2000  # of one value, that are looked at: a page of nothing but "1" ends
_TABLES = (1e3, 1e6, 1e9)  # in what a table's bare figures may be,
_TABLES_OF_INDIA = (1e5, 1e7)  # and where lakh and crore are counted
# Where a text says in what its bare figures are: "(in millions)", "Rs crore", "$000"
_SAID_IN = re.compile(
    r"\b(?:in|of|EUR|USD|GBP|NOK|SEK|DKK|Rs\.?|INR|US\$)\s{1,3}(?:[A-Z$\u20ac\u00a3]{0,4}\s?)"
    r"(?P<word>thousand|million|billion|lakh|crore|mio|mrd|mn|bn)s?\b"
    r"|(?P<thousands>[($\u20ac\u00a3'\u2019]\s?000s?\b)"
    r"|(?:[$\u20ac\u00a3]\s?|\b(?:in|[A-Z]{3})\s)(?P<short>[mk]|mm|bn)\b(?!\w)",
    re.IGNORECASE,
)
_RANGE_CHARACTERS_MAX = 8  # between the numbers of a range: " and $"


class _Source:
    """The numbers of the source's texts, by value."""

    def __init__(self, texts: Sequence[str]) -> None:
        found = [(number, text) for text in texts for number in readings(text)]
        self.by_value = _Ordered([(n.value, n, text) for n, text in found])
        self.by_mantissa = _Ordered([(n.mantissa, n, text) for n, text in found if n.scale >= 1.0])
        self.bare = _Ordered(
            [
                (n.value, n, text)
                for n, text in found
                if n.scale == 1.0 and n.figure and n.unit != PERCENT
            ]
        )
        self.ranged: frozenset[int] = frozenset()  # of what is claimed
        self._said = {text: _said_in(text) for text in texts}

    def is_in(self, number: Number, text: str, unit: float) -> bool:
        """May a bare number of a text be meant in this unit: in a table's row, or as it says?"""
        if said := self._said[text]:
            return unit in said
        start = text.rfind("\n", 0, number.start) + 1
        end = text.find("\n", number.end)
        return is_row(text[start : end if end >= 0 else len(text)])


def _said_in(text: str) -> frozenset[float]:
    words = (match["word"] or match["short"] or "k" for match in _SAID_IN.finditer(text))
    lower = (word.lower() for word in words)
    return frozenset(AHEAD.get(word) or SCALES[word] for word in lower)


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


def claimed(text: str) -> tuple[str, ...]:
    """Return the numbers that a text claims, as written: those that `unsupported` looks at."""
    return tuple(dict.fromkeys(number.text for number in _claims(_unlisted(text))))


def unsupported(summary: str, source: Iterable[str]) -> tuple[str, ...]:
    """Return the numbers of ``summary`` that stand in none of the ``source`` texts, as written."""
    summary = _unlisted(summary)
    claims = _claims(summary)
    if not claims:
        return ()
    there = _Source([unwrapped(text) for text in source])
    there.ranged = _ranged(summary)
    missing = [number.text for number in claims if not _stands(number, summary, there)]
    return tuple(dict.fromkeys(missing))


def _unlisted(text: str) -> str:
    return unwrapped(_LIST_MARK.sub("", text))


def _ranged(text: str) -> frozenset[int]:
    """Where numbers begin that have the scale or unit of the next one: "1.2 to 1.3 billion"."""
    found = sorted(numbers(text), key=lambda number: number.start)
    return frozenset(
        one.start
        for one, other in pairwise(found)
        if (other.scale > 1.0 or other.unit == PERCENT)
        and 0 <= other.start - one.end <= _RANGE_CHARACTERS_MAX
    )


def _claims(text: str) -> list[Number]:
    return [number for number in numbers(text) if number.figure]


def _stands(number: Number, summary: str, source: _Source) -> bool:
    """Does a number stand there, in one of its readings?"""
    return any(
        all(_is_there(one, summary, source) for one in reading)
        for reading in ((number,), *number.also)
    )


def _is_there(number: Number, summary: str, source: _Source) -> bool:
    """Does it stand there, and is nothing else said of it? Where one place says the opposite and
    none the same, those that say nothing do not count: the value may be another's there."""
    claim = told(number, summary)
    alike = (
        each for each in _same(number, source) if _alike(number, each[0], ranged=source.ranged)
    )
    silent = opposite = False
    for other, text in islice(alike, _PLACES_MAX):
        said = agree(claim, told(other, text))
        if said > 0:
            return True
        silent |= said == 0
        named = other.unit is not None or (number.unit is None and other.figure)
        opposite |= said < 0 and named and other.value == number.value
    return silent and not opposite


def _alike(number: Number, other: Number, ranged: frozenset[int]) -> bool:
    """May both have one unit? Of a percentage it is always said, if need be behind the range."""
    if number.unit is None and other.unit == PERCENT:
        return number.start in ranged
    return same_unit(number.unit, other.unit)


def _same(number: Number, source: _Source) -> Iterable[tuple[Number, str]]:
    """The numbers of the source that have this value."""
    yield from source.by_value.near(number.value, number.step)
    if number.scale == 1.0 and number.start in source.ranged:
        yield from source.by_mantissa.near(number.mantissa, 0.0)
    elif number.scale > 1.0:
        for unit in (*_TABLES, *(_TABLES_OF_INDIA if number.unit in ("INR", None) else ())):
            for other, text in source.bare.near(number.value / unit, number.step / unit):
                if source.is_in(other, text, unit):
                    yield other, text
