"""Which numbers of a summary do not stand in its source.

Tolerant where the meaning is the same: 1,234 = 1234; $1.2 billion = 1,200 million = 1,234 million
rounded to the digits shown; 15 % = 15 percent; 150 basis points = 1.5 %; "three" in the source
= 3; a bare 1,234 in the source (a table "in millions") = 1,234 million. Signs are ignored, for
"down 5 %" is -5 %. A number written as a word in the summary is checked where a scale follows
("two billion"). What is derived (a sum, a difference) counts as not standing there.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "k": 1e3,
    "million": 1e6,
    "mln": 1e6,
    "mn": 1e6,
    "mm": 1e6,
    "m": 1e6,
    "billion": 1e9,
    "bln": 1e9,
    "bn": 1e9,
    "b": 1e9,
    "trillion": 1e12,
    "tn": 1e12,
    "t": 1e12,
    "basis point": 1e-2,
    "basis points": 1e-2,
    "bps": 1e-2,
    "bp": 1e-2,
}


def _numbered(words: str, start: int = 0, step: float = 1.0) -> dict[str, float]:
    return {word: step * count for count, word in enumerate(words.split(), start)}


_TENS = _numbered("twenty thirty forty fifty sixty seventy eighty ninety", 2, 10.0)
_WORDS = (
    _TENS
    | _numbered("zero one two three four five six seven eight nine ten eleven twelve thirteen")
    | _numbered("fourteen fifteen sixteen seventeen eighteen nineteen", 14)
    | _numbered("first second third fourth fifth sixth seventh eighth ninth tenth", 1)
)

_SCALE = r"(?:[\s\u00a0\u202f-]?(?P<scale>{})\b)?".format(
    "|".join(sorted(_SCALES, key=len, reverse=True)).replace(" ", r"\s")
)
# Digits are taken 18 at a time: an endless run of them is many numbers, not a slow one.
_DIGITS = r"\d{1,3}(?:[,\u00a0\u202f]\d{3}){1,6}(?!\d)|\d{1,18}"
_NUMBER = re.compile(
    rf"[$€£¥]?(?P<digits>(?:{_DIGITS})(?:\.\d{{1,12}})?|(?<![\d.])\.\d{{1,12}}){_SCALE}(?:\s?%)?",
    re.I,
)
_ANY_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_WORD = re.compile(rf"\b(?:(?P<tens>{'|'.join(_TENS)})[\s-])?(?P<word>{_ANY_WORD})\b{_SCALE}", re.I)
_LIST_MARK = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]", re.MULTILINE)

_ROUNDED_AT_MOST = 0.05  # of the value: "1 billion" does not stand for 1.4 billion


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: ``mantissa`` times ``scale``; ``step`` is its last digit's worth.

    ``figure`` is False for what is no claim by itself: a word in prose ("one of the"), a digit
    in a name (Q1, FY21).
    """

    text: str
    mantissa: float
    scale: float
    step: float
    figure: bool

    @property
    def value(self) -> float:
        """What the number means."""
        return self.mantissa * self.scale


def numbers(text: str) -> list[Number]:
    """Return the numbers of a text, digits first, then those written as words."""
    found = []
    for match in _NUMBER.finditer(text):
        digits = re.sub(r"[,\u00a0\u202f]", "", match["digits"])
        decimals = len(digits.partition(".")[2])
        scale = _scale(match["scale"])
        in_name = text[max(0, match.start("digits") - 1)].isalpha()
        found.append(
            Number(match[0].strip(), float(digits), scale, 10.0**-decimals * scale, not in_name)
        )
    for match in _WORD.finditer(text):
        mantissa = _WORDS[match["word"].lower()] + _WORDS.get((match["tens"] or "").lower(), 0.0)
        scale = _scale(match["scale"])
        found.append(Number(match[0], mantissa, scale, scale, scale != 1.0))
    return found


def unsupported(summary: str, source: Iterable[str]) -> tuple[str, ...]:
    """Return the numbers of ``summary`` that stand in none of the ``source`` texts, as written."""
    claimed = [n for n in numbers(_LIST_MARK.sub("", summary)) if n.figure]
    if not claimed:
        return ()
    there = [number for text in source for number in numbers(text)]
    values = sorted(number.value for number in there)
    mantissas = sorted(number.mantissa for number in there)
    bare = sorted(n.value for n in there if n.scale == 1.0 and n.figure)
    missing = [n.text for n in claimed if not _stands(n, values, mantissas, bare)]
    return tuple(dict.fromkeys(missing))


def _stands(
    number: Number, values: Sequence[float], mantissas: Sequence[float], bare: Sequence[float]
) -> bool:
    if _near(values, number.value, number.step):
        return True
    if number.scale == 1.0:  # "between 1.2 and 1.3 billion": the first has no scale of its own
        return _near(mantissas, number.mantissa, 0.0)
    units = (1e3, 1e6, 1e9) if number.scale > 1.0 else ()
    return any(_near(bare, number.value / unit, number.step / unit) for unit in units)


def _near(ordered: Sequence[float], value: float, step: float) -> bool:
    """Is a value there that rounds to this one at its last digit?"""
    slack = max(min(step / 2, _ROUNDED_AT_MOST * abs(value)), 1e-9 * abs(value)) * (1 + 1e-9)
    at = bisect_left(ordered, value - slack)
    return at < len(ordered) and ordered[at] <= value + slack


def _scale(word: str | None) -> float:
    return _SCALES[re.sub(r"\s", " ", word.lower())] if word else 1.0
