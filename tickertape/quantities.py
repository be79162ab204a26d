"""The numbers of a text as values: sign, scale and unit. Pure.

Read as they are written in reports of any country: ``$(38.6) million``, ``-15%``, ``NOK 612m``,
``Rs 4,512 crore``, ``8 per cent``, ``150 basis points``, "two billion dollars".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "k": 1e3,
    "lakh": 1e5,
    "lakhs": 1e5,
    "million": 1e6,
    "millions": 1e6,
    "mln": 1e6,
    "mn": 1e6,
    "mm": 1e6,
    "m": 1e6,
    "crore": 1e7,
    "crores": 1e7,
    "cr": 1e7,
    "billion": 1e9,
    "billions": 1e9,
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
    "cents": 1e-2,
    "cent": 1e-2,
    "pence": 1e-2,
    "p": 1e-2,
}
PERCENT = "%"
_PERCENT_SCALES = frozenset({"basis point", "basis points", "bps", "bp"})

# How a currency is written before a number: what it stands for. "$" may be any dollar.
_SIGNS = {
    "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "HK$": "HKD", "NT$": "TWD",
    "S$": "SGD", "NZ$": "NZD", "R$": "BRL", "MX$": "MXN", "Rs.": "INR", "Rs": "INR", "RMB": "CNY",
    "kr": "kr", "Fr.": "CHF", "z\u0142": "PLN", "$": "$", "\u20ac": "EUR", "\u00a3": "GBP",
    "\u00a5": "\u00a5", "\u20b9": "INR", "\u20a9": "KRW", "\u20bd": "RUB", "\u20ba": "TRY",
    "\u20aa": "ILS", "\u20ab": "VND", "\u0e3f": "THB", "\u20a6": "NGN", "\u20b1": "PHP",
}  # fmt: skip
_CODES = """
    USD EUR GBP JPY CHF NOK SEK DKK ISK PLN CZK HUF RON TRY RUB ILS AED SAR QAR KWD ZAR NGN KES EGP
    INR PKR BDT LKR CNY CNH HKD TWD KRW SGD MYR THB IDR PHP VND AUD NZD CAD MXN BRL ARS CLP COP PEN
""".split()  # noqa: SIM905 -- readable as text
_NAMES = {
    "dollar": "$", "dollars": "$", "euro": "EUR", "euros": "EUR", "pounds": "GBP",
    "sterling": "GBP", "yen": "JPY", "yuan": "CNY", "renminbi": "CNY", "rupees": "INR",
    "francs": "CHF", "kroner": "kr", "kronor": "kr", "reais": "BRL", "pesos": "MXN",
    "rubles": "RUB",
}  # fmt: skip
_MAY_BE = {
    "$": frozenset("USD AUD CAD HKD TWD SGD NZD MXN ARS CLP COP".split()),  # noqa: SIM905
    "\u00a5": frozenset({"JPY", "CNY"}),
    "kr": frozenset({"NOK", "SEK", "DKK", "ISK"}),
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


def _any(words: object) -> str:
    """A pattern of any of these words, the longest first."""
    found = sorted(map(str, words), key=len, reverse=True)  # type: ignore[call-overload]
    return "|".join(re.escape(word).replace(r"\ ", r"\s") for word in found)


_SPACE = "[\\s\u00a0\u202f]"
_SCALE_WORDS = rf"{_any(SCALES.keys() - {'p'})}|(?<=\d)p"
_SCALE = rf"(?:(?:{_SPACE}|-(?=[a-z]{{4}}))?(?P<scale>{_SCALE_WORDS})(?![^\W_]))?"
_UNIT = (
    rf"(?:{_SPACE}?(?P<percent>%|per{_SPACE}?cent\b|pct\b|(?:percentage{_SPACE})?points?\b|pp\b)"
    rf"|{_SPACE}(?P<name>{_any(_NAMES)})\b|{_SPACE}(?P<after>{_any(_CODES)})\b(?!{_SPACE}?[\d.]))?"
)
_LETTERED = [sign for sign in _SIGNS if sign[0].isalpha()]  # "Rs", not "others 5"
_BEFORE = (
    rf"(?:(?P<sign>(?<![^\W_])(?:{_any(_LETTERED)})|{_any(set(_SIGNS) - set(_LETTERED))})"
    rf"|\b(?P<code>{_any(_CODES)})){_SPACE}?"
)
# Digits are taken 18 at a time: an endless run of them is many numbers, not a slow one.
_DIGITS = (
    "\\d{1,3}(?:[,\u00a0\u202f]\\d{3}){1,6}(?!\\d)|\\d{1,2}(?:,\\d{2}){1,6},\\d{3}(?!\\d)|\\d{1,18}"
)
# Where none of these stands no number begins: most places are passed over at once.
_BEGINS = (
    "(?=[-\u2212$\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd\u20ba\u20aa\u20ab\u0e3f\u20a6\u20b1(.\\d]"
    r"|[^\W\d_]{1,4}\$?\.?\s?[-\u2212(]{0,2}\s?[\d.])"
)
_NUMBER = re.compile(
    rf"{_BEGINS}(?P<minus>(?<![\w)%.,])[-\u2212](?=[^\s\d]{{0,4}}[\d.]))?(?P<currency>{_BEFORE})?"
    rf"(?P<minus2>(?<=[^\w\s)%])[-\u2212](?=\d))?(?P<open>\({_SPACE}?)?"
    rf"(?P<digits>(?:{_DIGITS})(?:\.\d{{1,12}})?|(?<![\d.])\.\d{{1,12}})"
    rf"(?P<inside>{_SPACE}?%)?(?P<close>{_SPACE}?\))?{_SCALE}{_UNIT}",
    re.IGNORECASE,
)
_INITIALS = "".join(sorted({word[0] for word in _WORDS}))
_WORD = re.compile(
    rf"\b(?=[{_INITIALS}])(?:(?P<tens>{_any(_TENS)})[\s-])?(?P<word>{_any(_WORDS)})\b"
    rf"{_SCALE}{_UNIT}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: ``mantissa`` times ``scale``; ``step`` is its last digit's worth.

    ``sign``: -1 where it is written as negative ("-5", "$(1.07)", "(8.3)%", "(5) million"), 0 where
    brackets may mean that ("(4.8%)", "($6)"), else 1. ``unit``: "%", a currency's code, "$", "kr"
    or yen's sign where that is all that is said; None where nothing is. ``figure`` is False for
    what is no claim by itself: a word in prose ("one of the"), a digit in a name (Q1, FY21). It
    stands at ``start`` to ``end``.
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

    @property
    def value(self) -> float:
        """What the number means, less its sign."""
        return self.mantissa * self.scale


def numbers(text: str) -> list[Number]:
    """Return the numbers of a text, digits first, then those written as words."""
    found = [_written(match) for match in _NUMBER.finditer(text)]
    for match in _WORD.finditer(text):
        mantissa = _WORDS[match["word"].lower()] + _WORDS.get((match["tens"] or "").lower(), 0.0)
        scale = _scale(match["scale"])
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


def same_unit(one: str | None, other: str | None) -> bool:
    """Tell whether two units may be the same; what is not said may be any."""
    if one is None or other is None or one == other:
        return True
    return other in _MAY_BE.get(one, ()) or one in _MAY_BE.get(other, ())


def _written(match: re.Match[str]) -> Number:
    text = match.string
    digits = re.sub("[,\u00a0\u202f]", "", match["digits"])
    decimals = len(digits.partition(".")[2])
    scale = _scale(match["scale"])
    in_name = text[max(0, match.start("digits") - 1)].isalpha() and not match["currency"]
    outside = text[max(0, match.start() - 1) : match.start()] == "("  # ($6)
    sign = 1
    if match["minus"] or match["minus2"]:
        sign = -1
    elif match["close"] and (match["open"] or outside):
        # "$(1.07)", "($5) million" and "(8.3)%" are losses; "(4.8%)" and "($6)" may be asides.
        certain = (match["currency"] and match["open"]) or match["scale"]
        sign = -1 if certain or (match["percent"] and not match["inside"]) else 0
    start, end = match.span()
    if match["open"] and not match["close"] and not match["currency"]:
        start = match.start("digits")
    if outside and match["close"]:
        start -= 1
    elif match["close"] and not match["open"]:  # the bracket is another's
        end = match.end("inside") if match["inside"] else match.end("digits")
        return Number(
            text[start:end].strip(), float(digits), 1.0, 10.0**-decimals, not in_name,
            unit=_unit(match, inside=True), start=start, end=end,
        )  # fmt: skip
    return Number(
        text[start:end].strip(), float(digits), scale, 10.0**-decimals * scale, not in_name,
        sign=sign, unit=_unit(match), start=start, end=end,
    )  # fmt: skip


def _scale(word: str | None) -> float:
    return SCALES[re.sub(r"\s", " ", word.lower())] if word else 1.0


def _unit(match: re.Match[str], *, inside: bool = False) -> str | None:
    found = match.groupdict()
    if found.get("inside"):
        return PERCENT
    scale = re.sub(r"\s", " ", (found["scale"] or "").lower())
    if not inside and (found["percent"] or scale in _PERCENT_SCALES):
        return PERCENT
    if found.get("sign"):
        return next(v for k, v in _SIGNS.items() if k.lower() == found["sign"].lower())
    if found.get("code"):
        code = str(found["code"]).upper()
        return "CNY" if code == "CNH" else code
    if inside:
        return None
    if found["name"]:
        return _NAMES[found["name"].lower()]
    return found["after"].upper() if found["after"] else None
