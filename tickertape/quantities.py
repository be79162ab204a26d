"""The numbers of a text as values: sign, scale and unit. Pure.

Read as they are written in reports of any country: ``$(38.6) million``, ``-15%``, ``NOK 612m``,
``Rs 4,512 crore``, ``3.2 lakh crore``, ``EUR 1.234,5 million``, ``1 234,5 MSEK``, ``8 per cent``,
``150 basis points``, "two billion dollars". What may be read in two ways has both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tickertape.units import (
    AFTER,
    AHEAD,
    CODES,
    CONTINENTAL,
    MAY_BE,
    MULTIPLES,
    NAMES,
    PERCENT,
    PERCENT_SCALES,
    PERCENT_WORDS,
    PREFIXES,
    SCALES,
    SIGNS,
)


def _numbered(words: str, start: int = 0, step: float = 1.0) -> dict[str, float]:
    return {word: step * count for count, word in enumerate(words.split(), start)}


_TENS = _numbered("twenty thirty forty fifty sixty seventy eighty ninety", 2, 10.0)
_WORDS = (
    _TENS
    | _numbered("zero one two three four five six seven eight nine ten eleven twelve thirteen")
    | _numbered("fourteen fifteen sixteen seventeen eighteen nineteen", 14)
    | _numbered("first second third fourth fifth sixth seventh eighth ninth tenth", 1)
)


def _any(words: Iterable[str]) -> str:
    """A pattern of any of these words in any case, the longest that fits. What they have in common
    at their beginnings stands once, and each letter as a class of its cases: so a place where none
    begins is passed over at once (the flag for cases would have each word tried)."""
    rests: dict[str, list[str]] = {}
    for word in sorted({word.lower() for word in words}):
        rests.setdefault(word[:1], []).append(word[1:])
    last = rests.pop("", None) is not None
    parts = [f"{_either(first)}{_any(rest)}" for first, rest in rests.items()]
    if not parts:
        return ""
    found = parts[0] if len(parts) == 1 and not last else f"(?:{'|'.join(parts)})"
    return f"{found}?" if last else found


def _either(letter: str) -> str:
    if letter == " ":
        return r"\s"
    return re.escape(letter) if letter.upper() == letter else f"[{letter}{letter.upper()}]"


_SPACE = "[\\s\u00a0\u202f]"
_THIN = " \u00a0\u202f"  # spaces between groups of digits
_CLOSED = str.maketrans("", "", f"'\u2019{_THIN}")
_LETTER = "[^\\W\\d_]"
# The look-aheads keep what cannot be from being tried word by word.
_SCALE = (
    rf"(?:(?:{_SPACE}|-(?=[a-zA-Z]{{4}}))?(?={_LETTER})(?:(?P<multiple>{_any(MULTIPLES)}){_SPACE})?"
    rf"(?P<scale>{_any(SCALES.keys() - {'p', 'c'})}|(?<=\d)[pPc])(?![^\W_]))?"
)
_NAME = (
    rf"(?:(?P<name>{_any(NAMES)})|(?P<prefix>{_any(PREFIXES)})?(?P<after>{_any([*CODES, 'kr'])}))"
)
_UNIT = (
    rf"(?:(?:(?<={_LETTER})\.)?{_SPACE}?(?=[^\w\s]|{_LETTER})"
    rf"(?:(?P<percent>%|{_any(PERCENT_WORDS)}\b)"
    rf"|(?<={_SPACE}){_NAME}\b(?!{_SPACE}?\.?\d)|(?P<symbol>{_any(AFTER)})(?!{_SPACE}?\d)))?"
)
_LETTERED = [sign for sign in SIGNS if sign[0].isalpha()]  # "Rs", not "others 5"
_BEFORE = (
    rf"(?:(?P<sign>(?<![^\W_])(?:{_any(_LETTERED)})|{_any(set(SIGNS) - set(_LETTERED))})"
    rf"|\b(?P<big>{_any(PREFIXES)})?(?P<code>{_any(CODES)}))"
    rf"(?:{_SPACE}?(?P<ahead>{_any(AHEAD)})(?={_SPACE}))?{_SPACE}?"
)
# Digits are taken 18 at a time: an endless run of them is many numbers, not a slow one. First what
# has a decimal comma, then groups of thousands, and last what has neither.
_COMMA = r",\d{1,12}(?!\d)"
_DIGITS = "|".join(
    (
        rf"\d{{1,18}}+(?![.,'\u2019{_THIN}]\d)",
        rf"\d{{1,3}}(?:\.\d{{3}}){{1,6}}{_COMMA}",
        r"\d{1,3}(?:\.\d{3}){2,6}(?![\d.])",
        r"\d{1,3}(?:,\d{3}){1,6}(?!\d)(?:\.\d{1,12})?",
        r"\d{1,2}(?:,\d{2}){1,6},\d{3}(?!\d)(?:\.\d{1,12})?",
        r"\d{1,3}(?:['\u2019]\d{3}){1,6}(?!\d)(?:[.,]\d{1,12})?",
        rf"(?<![\d.,])\d{{1,3}}(?:[{_THIN}]\d{{3}}){{1,6}}(?!\d)"
        rf"(?:{_COMMA}|(?=(?:{_SPACE}?%|{_SPACE}(?={_LETTER})(?:(?:{_any(SCALES)})\b"
        rf"|(?:{_any(PREFIXES)})?(?:{_any(CODES)}|kr)\b)))|(?(currency)(?=\b)|(?!)))",
        r"(?<!\d,)\d{1,18},\d{1,2}(?![\d,]\d|\d)",
        r"\d{1,18}(?:\.\d{1,12})?",
        r"(?<![\d.])\.\d{1,12}",
    )
)
# Where none of these stands no number begins: most places are passed over at once.
_BEGINS = (
    "(?=\\d|\\.\\d|[-\u2212\u2013$\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd\u20ba\u20aa\u20ab\u0e3f\u20a6\u20b1(]"
    r"\D{0,14}\d|\b[^\W\d_]{1,4}\$?\.?\s?[-\u2212\u2013(]{0,2}\s?\.?\d"
    rf"|\b[^\W\d_]{{3}}\s(?:{_any(AHEAD)})\s)"
)
_NUMBER = re.compile(
    rf"{_BEGINS}(?P<minus>(?<![\w)%.,])[-\u2212\u2013](?=[^\s\d]{{0,4}}[\d.]))?"
    rf"(?P<currency>(?=[^\d.(]){_BEFORE})?"
    rf"(?P<minus2>(?<=[^\w)%])[-\u2212\u2013](?=\d))?(?P<open>\({_SPACE}?)?"
    rf"(?P<digits>{_DIGITS})"
    rf"(?P<inside>{_SPACE}?%)?(?P<close>{_SPACE}?\))?{_SCALE}{_UNIT}",
)
# A text with one of these writes 1.234 for a thousand; and digits that may be one number.
_CONTINENTAL = re.compile(
    rf"\d(?:[. \u00a0]\d{{3}}){{1,6}},\d|(?<![\d.,])\d{{1,18}},\d{{1,2}}(?![\d,]\d|\d)"
    rf"|\d{_SPACE}?(?:{_any(CONTINENTAL)})\b|\d\.\d{{3}}\.\d{{3}}(?![\d.])|\d{_SPACE}[mt](?:SEK|EUR)\b|\bTEUR\b",
)
_SPACED = re.compile(rf"(?<![\d.,])\d{{1,3}}(?:[{_THIN}]\d{{3}}){{1,3}}(?![\d.,]\d|\d)")
_GROUP = re.compile(r"\d{1,3}")
_RANGE = re.compile(r"\d%?(?:mn?|bn?|k|p|\s(?:million|billion|percent))?\s\Z")
# Behind one of these a number in brackets is no aside: "EPS was ($0.45)", "a loss of (4.8%)"
_STATED = re.compile(
    r"\b(?:was|were|is|are|be|of|at|to|from|with|totall?ed|reached|reported)[\s\u00a0]\Z",
    re.IGNORECASE,
)
_WORD = re.compile(rf"\b(?:(?P<tens>{_any(_TENS)})[\s-])?(?P<word>{_any(_WORDS)})\b{_SCALE}{_UNIT}")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: ``mantissa`` times ``scale``; ``step`` is its last digit's worth.

    ``sign``: -1 where it is written as negative ("-5", "$(1.07)", "(8.3)%", "(5) million", "was
    ($0.45)"), 0 where that may be meant ("(4.8%)", "($6)", "$5 -$6"), else 1. ``unit``: "%", a
    currency's code, "$", "kr" or yen's sign where that is all that is said; None where nothing is.
    ``figure`` is False for what is no claim by itself: a word in prose ("one of the"), a digit in a
    name (Q1, FY21). It stands at ``start`` to ``end``. ``also``: other readings, each of numbers
    that stand there together ("1.234" is 1,234 in some countries, "SEK 45 123" may be two numbers).
    """

    text: str
    mantissa: float
    scale: float
    step: float
    figure: bool
    sign: int = 1
    unit: str | None = None
    start: int = 0
    end: int = 0
    also: tuple[tuple[Number, ...], ...] = ()

    @property
    def value(self) -> float:
        """What the number means, less its sign."""
        return self.mantissa * self.scale


def numbers(text: str) -> list[Number]:
    """Return the numbers of a text, digits first, then those written as words."""
    continental = _CONTINENTAL.search(text) is not None
    found = [_written(match, continental) for match in _NUMBER.finditer(text)]
    for match in _WORD.finditer(text):
        mantissa = _WORDS[match["word"].lower()] + _WORDS.get((match["tens"] or "").lower(), 0.0)
        scale = _scale(match)
        found.append(
            Number(
                match[0],
                mantissa,
                scale,
                scale,
                scale != 1.0,
                unit=_unit(match),
                start=match.start(),
                end=match.end(),
            )
        )
    return found


def readings(text: str) -> Iterator[Number]:
    """Yield every number that a text may have: `numbers`, their other readings, and the figures
    that stand side by side as the one that they may be."""
    for number in numbers(text):
        yield number
        for other in number.also:
            yield from other
    for match in _SPACED.finditer(text):
        value = float(match[0].translate(_CLOSED))
        yield Number(match[0], value, 1.0, 1.0, True, start=match.start(), end=match.end())


def same_unit(one: str | None, other: str | None) -> bool:
    """Tell whether two units may be the same; what is not said may be any."""
    if one is None or other is None or one == other:
        return True
    return other in MAY_BE.get(one, ()) or one in MAY_BE.get(other, ())


def _written(match: re.Match[str], continental: bool) -> Number:
    text = match.string
    value, decimals = _value(match["digits"])
    scale = _scale(match)
    in_name = text[max(0, match.start("digits") - 1)].isalpha() and not match["currency"]
    outside = text[max(0, match.start() - 1) : match.start()] == "("  # ($6)
    sign = 1
    if match["minus"] or match["minus2"]:
        # "$1.60 -$1.70" may be from one to the other.
        sign = 0 if _RANGE.search(text, max(0, match.start() - 12), match.start()) else -1
    elif match["close"] and (match["open"] or outside):
        # "$(1.07)", "($5) million" and "(8.3)%" are losses; "(4.8%)" and "($6)" may be asides.
        certain = (match["currency"] and match["open"]) or match["scale"]
        if match["currency"] or match["inside"] or decimals:
            place = match.start() - outside
            certain = certain or _STATED.search(text, max(0, place - 12), place)
        sign = -1 if certain or (match["percent"] and not match["inside"]) else 0
    start, end = match.span()
    if match["open"] and not match["close"] and not match["currency"]:
        start = match.start("digits")
    inside = False
    if outside and match["close"]:
        start -= 1
    elif match["close"] and not match["open"]:  # the bracket is another's
        end = match.end("inside") if match["inside"] else match.end("digits")
        inside = True
        scale = 1.0
    number = Number(
        text[start:end].strip(), value, scale, 10.0**-decimals * scale, not in_name,
        sign=sign, unit=_unit(match, inside=inside), start=start, end=end,
    )  # fmt: skip
    return replace(number, also=also) if (also := _also(number, match, continental)) else number


def _value(digits: str) -> tuple[float, int]:
    """What digits mean, whatever stands between them, and how many decimals they have."""
    if digits.isdigit():
        return float(digits), 0
    plain = digits.translate(_CLOSED)
    comma, dot = plain.rfind(","), plain.rfind(".")
    if comma > dot:
        alone = plain.count(",") == 1 and (dot >= 0 or plain != digits or len(plain) - comma <= 3)
        mark, groups = ("," if alone else ""), "."
    else:
        mark, groups = ("." if plain.count(".") == 1 else ""), ","
    whole, _, decimals = plain.partition(mark) if mark else (plain, "", "")
    for group in (groups, ",", "."):
        whole = whole.replace(group, "")
    return float(f"{whole or 0}.{decimals or 0}"), len(decimals)


def _also(
    number: Number, match: re.Match[str], continental: bool
) -> tuple[tuple[Number, ...], ...]:
    """The other readings of a number."""
    digits = match["digits"]
    if digits.isdigit():
        return ()
    if any(space in digits for space in _THIN):
        # "SEK 45 123 employees", "in Q2 100 MSEK"
        named = not number.figure
        if "," in digits or not (
            named or (match["currency"] and not (match["scale"] or match["after"]))
        ):
            return ()
        start = match.start("digits")
        pieces = [
            Number(
                group[0], float(group[0]), 1.0, 1.0, True,
                start=start + group.start(), end=start + group.end(),
            )
            for group in _GROUP.finditer(digits)
        ]  # fmt: skip
        if match["currency"]:
            pieces[0] = replace(pieces[0], unit=number.unit, sign=number.sign)
        else:
            pieces[0] = replace(pieces[0], figure=False)
            scale = number.scale
            pieces[-1] = replace(pieces[-1], scale=scale, step=scale, unit=number.unit)
        return (tuple(pieces),)
    whole, mark, decimals = digits.replace(",", ".").partition(".")
    if not (continental and mark and len(decimals) == 3 and decimals.isdigit() and len(whole) < 4):
        return ()
    times = 1e3 if "." in digits else 1e-3
    step = number.scale * (1.0 if "." in digits else 1e-3)
    return ((replace(number, mantissa=number.mantissa * times, step=step),),)


def _scale(match: re.Match[str]) -> float:
    found = match.groupdict()
    scale = 1.0
    if found["scale"]:
        scale = SCALES[re.sub(r"\s", " ", found["scale"].lower())]
        scale *= MULTIPLES.get((found["multiple"] or "").lower(), 1.0)
    elif found["prefix"] and found["after"]:
        scale = PREFIXES[found["prefix"].lower()]
    elif found.get("ahead"):
        scale = AHEAD[found["ahead"].lower()]
    elif found.get("big"):
        scale = PREFIXES[found["big"].lower()]
    return scale


def _unit(match: re.Match[str], *, inside: bool = False) -> str | None:
    found = match.groupdict()
    if not any(
        (
            found["scale"],
            found["percent"],
            found["name"],
            found["after"],
            found["symbol"],
            found.get("inside"),
            found.get("currency"),
        )
    ):
        return None
    if found.get("inside"):
        return PERCENT
    scale = re.sub(r"\s", " ", (found["scale"] or "").lower())
    if not inside and (found["percent"] or scale in PERCENT_SCALES):
        return PERCENT
    if found.get("sign"):
        return next(v for k, v in SIGNS.items() if k.lower() == found["sign"].lower())
    code = found.get("code") or (None if inside else found["after"])
    if code:
        return {"CNH": "CNY", "KR": "kr"}.get(code.upper(), code.upper())
    if inside:
        return None
    if found["name"]:
        return NAMES[re.sub(r"\s", " ", found["name"].lower())]
    return AFTER[found["symbol"].lower()] if found["symbol"] else None
