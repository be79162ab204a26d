"""Whose a document is, of what period and of what form: read out of its metadata, and out of a
question. Pure.

What is read of a document goes into its fields (`leaves`), so that a store knows which companies
there are, whatever words its producer has for it. Names that are ordinary words (ON, NOW, Gap) are
so known by what is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tickertape.terms import STOP_WORDS
from tickertape.text import comparable

# Fields of our own beside a document's: no producer's begins so.
OURS = "\x1f"
WHO, PERIOD, FORM = f"{OURS}who", f"{OURS}period", f"{OURS}form"
TICKER = "$"  # before a ticker among the names

COMPANY_FIELDS = ("company", "company_name", "issuer", "issuer_name", "entity", "organization")
ALIAS_FIELDS = ("alias", "aliases", "also_known_as")
TICKER_FIELDS = ("ticker", "symbol", "tickers", "symbols")
YEAR_FIELDS = ("year", "fiscal_year", "fy")
QUARTER_FIELDS = ("quarter", "fiscal_quarter", "fiscal_period")
PERIOD_FIELDS = ("period", "fiscal_period", "reporting_period", "report_period", "quarter")
FORM_FIELDS = ("document_type", "doc_type", "form", "form_type", "type", "filing_type")
DATE_FIELDS = ("published", "date", "filing_date", "filed", "published_at")
TITLE_FIELDS = ("title", "name", "filename", "file_name")

VALUES_MAX = 32  # of one field
TEXT_MAX = 400  # characters of a field that are read
GRAM_MAX = 6  # words of a name
_LEGAL = frozenset(
    """
    inc incorporated corp corporation co company companies ltd limited plc llc lp ag se sa nv spa ab
    asa oyj gmbh kgaa the group holding holdings trust bancorp
    """.split()  # noqa: SIM905 -- readable as text
)
# What a company's name goes on with when people leave it out
_TAILS = frozenset(
    """
    international technologies technology industries energy financial systems brands foods stores
    enterprises solutions services worldwide global pharmaceuticals motors hathaway semiconductor
    """.split()  # noqa: SIM905 -- readable as text
)
# Words with which a title goes on behind a company, or begins without one
_UNSAID = frozenset(
    """
    results report reports earnings annual quarterly financial press form notes note update news the
    a an of for on in and fiscal year quarter full first second third fourth interim consolidated
    """.split()  # noqa: SIM905 -- readable as text
)
_WORD = re.compile(r"[^\W_]+(?:&[^\W_]+)*")
_POSSESSIVE = re.compile(r"['\u2019]s\b|s['\u2019](?=\s|\Z)")
_TICKER = re.compile(r"[A-Za-z0-9]{1,6}(?:[.\-/][A-Za-z0-9]{1,4})?")
_CLASS = re.compile(r"[.\-/][A-Z]\Z")

_ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "1st": 1,
    "2nd": 2,
    "3rd": 3,
    "4th": 4,
}
_ORDINAL = "|".join(_ORDINALS)
_GAP = (
    r"[ _,./-]{0,3}(?:of[ _])?(?:the[ _])?(?:(?:fiscal|financial|calendar)[ _])?(?:year[ _])?"
    r"(?:FY)?[ _]?'?"
)
# Each has a year in full or of two digits, and a quarter
_QUARTERS = (
    re.compile(rf"(?<![^\W_])Q(?P<q>[1-4]){_GAP}(?P<y>(?:19|20)\d\d|\d\d)(?!\d)", re.IGNORECASE),
    re.compile(rf"(?<![^\W_])(?P<q>[1-4])Q{_GAP}(?P<y>(?:19|20)\d\d|\d\d)(?!\d)", re.IGNORECASE),
    re.compile(
        r"(?<![^\W_])(?:FY[ _]?)?(?P<y>(?:19|20)\d\d)[ _,./-]{0,3}"
        r"(?:Q(?P<q>[1-4])|(?P<r>[1-4])Q)(?![^\W_])",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?P<o>{_ORDINAL})[ -](?:fiscal[ -])?quarter{_GAP}(?P<y>(?:19|20)\d\d)(?!\d)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?<!\d)(?P<y>(?:19|20)\d\d)[ ,'\u2019s-]{{1,4}}(?:fiscal[ -])?(?P<o>{_ORDINAL})"
        r"[ -]quarter",
        re.IGNORECASE,
    ),
)
_SHORT_YEAR = re.compile(r"(?<![^\W_])FY[ _]?'?(?P<y>\d\d)(?![^\W_])", re.IGNORECASE)
_YEAR = re.compile(
    r"(?<![\d.,$\u20ac\u00a3])(?:FY)?(?P<y>(?:19|20)\d\d)(?![\d%]|[.,]\d)", re.IGNORECASE
)
_LONE_QUARTER = re.compile(
    rf"(?<![^\W_])(?:Q(?P<q>[1-4])|(?P<r>[1-4])Q|(?P<o>{_ORDINAL})[ -]quarter)(?![^\W_])",
    re.IGNORECASE,
)
_DATED = re.compile(r"(?P<y>(?:19|20)\d\d)-(?P<m>0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")

# A form, and how it is said
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (form, re.compile(rf"(?<![^\W_])(?:{said})(?![^\W_])", re.IGNORECASE))
    for form, said in (
        ("10-k", r"10[ -]{0,3}K(?:/A)?|annual[ -]reports?"),
        ("10-q", r"10[ -]{0,3}Q(?:/A)?|quarterly[ -]reports?"),
        ("8-k", r"8[ -]{0,3}K(?:/A)?|current[ -]reports?"),
        ("20-f", r"20[ -]{0,3}F"),
        ("6-k", r"6[ -]{0,3}K"),
        ("def-14a", r"DEF[ -]?14A|proxy[ -]statements?"),
        ("s-1", r"S[ -]1"),
        ("call", r"earnings[ _-]calls?|conference[ _-]calls?|transcripts?"),
        ("release", r"earnings[ _-]releases?|press[ _-]releases?"),
    )
)


@dataclass(frozen=True, order=True, slots=True)
class Period:
    """A year, or (1 to 4) a quarter of one; a quarter without a year has 0."""

    year: int
    quarter: int = 0

    def __str__(self) -> str:
        if not self.year:
            return f"Q{self.quarter}"
        return f"{self.year}-Q{self.quarter}" if self.quarter else str(self.year)


@dataclass(frozen=True, slots=True)
class Facets:
    """What is known of a document; ``who`` are names in small letters, and tickers after "$"."""

    who: frozenset[str] = frozenset()
    periods: frozenset[Period] = frozenset()
    forms: frozenset[str] = frozenset()

    def leaves(self) -> Iterator[tuple[str, str]]:
        """Yield these as fields with canonical values: of a quarter its year too."""
        yield from ((WHO, who) for who in self.who)
        years = {Period(period.year) for period in self.periods if period.year}
        yield from ((PERIOD, str(period)) for period in self.periods | years)
        yield from ((FORM, form) for form in self.forms)


def of_document(metadata: Mapping[str, Any], id: str = "") -> Facets:
    """Return what a document's metadata says; its title and id where they say nothing."""
    lower = {name.lower(): value for name, value in metadata.items() if isinstance(name, str)}
    who = {name for text in _texts(lower, COMPANY_FIELDS) for name in names(text)}
    who |= {bare for text in _texts(lower, ALIAS_FIELDS) if (bare := normal(text))}
    for text in _texts(lower, TICKER_FIELDS):
        who |= {f"{TICKER}{symbol}" for symbol in tickers(text)}
    titles = [*_texts(lower, TITLE_FIELDS), id[:TEXT_MAX].replace("_", " ")]
    if not who:
        who = {name for title in titles for name in _titled(title)}
    found = set(_periods_of(lower))
    of_form = [form for text in _texts(lower, FORM_FIELDS) for form in forms(text)]
    for text in titles:
        if not found:
            found = set(periods(text))
        if not of_form:
            of_form = list(forms(text))
    if not found:
        found = {
            Period(int(match["y"]) - before)
            for text in _texts(lower, DATE_FIELDS)
            if (match := _DATED.match(text))
            for before in ((0, 1) if match["m"] <= "04" else (0,))  # reports of the year before
        }
    return Facets(frozenset(who), frozenset(found), frozenset(of_form))


def _titled(title: str) -> set[str]:
    """The company that a title begins with, before it says a period or form."""
    ends = [
        match.start()
        for pattern in (*_QUARTERS, _SHORT_YEAR, _YEAR, *(said for _, said in _FORMS))
        if (match := pattern.search(title))
    ]
    words = title[: min(ends)].split() if ends else []
    while words and (words[-1].lower().strip(",:-") in _UNSAID or not words[-1].strip("-:,|")):
        words.pop()
    text = " ".join(words).strip(" ,:-|")
    if not 1 <= len(words) <= GRAM_MAX or words[0].lower() in _UNSAID:
        return set()
    symbol = {f"{TICKER}{one}" for one in tickers(text)} if text.isupper() else set()
    return names(text) | symbol


def names(company: str) -> set[str]:
    """Return the names by which a company is asked for: in full, and without what is left out."""
    words = _words(company)
    found = {" ".join(words[:GRAM_MAX])} if words else set()
    for tails in (_LEGAL, _LEGAL | _TAILS):
        kept = list(words)
        while len(kept) > 1 and kept[-1] in tails:
            kept.pop()
        if kept[:1] == ["the"] and len(kept) > 1:
            kept = kept[1:]
        if kept:
            found.add(" ".join(kept[:GRAM_MAX]))
    return found


def normal(text: str) -> str:
    """Return a name in the form in which names are compared."""
    return " ".join(_words(text)[:GRAM_MAX])


def tickers(text: str) -> set[str]:
    """Return a symbol as tickers are compared, without its exchange: "NYSE: BRK.B" is BRK.B, BRKB
    and BRK."""
    symbol = text.rpartition(":")[2].strip().lstrip("$").upper()
    if not _TICKER.fullmatch(symbol):
        return set()
    bare = re.sub(r"[.\-/]", "", symbol)
    return {symbol, bare} | ({symbol[:-2]} if _CLASS.search(symbol) else set())


def periods(text: str) -> Iterator[Period]:
    """Yield the quarters with their years that a text says, the years it says beside them, and
    where it says no quarter's year, a quarter alone with each of the years."""
    text = text[:TEXT_MAX]
    taken: list[tuple[int, int]] = []
    found = False
    for pattern in _QUARTERS:
        for match in pattern.finditer(text):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            taken.append(match.span())
            yield Period(_year(match["y"]), _quarter(match))
            found = True
    years = []
    for pattern in (_SHORT_YEAR, _YEAR):
        for match in pattern.finditer(text):
            if not any(start < match.end() and match.start() < end for start, end in taken):
                years.append(_year(match["y"]))
    if found:
        yield from map(Period, years)
        return
    lone = [_quarter(match) for match in _LONE_QUARTER.finditer(text)]
    for year in years or ([0] if lone else []):
        yield from (Period(year, quarter) for quarter in lone or [0])


def forms(text: str) -> Iterator[str]:
    """Yield the forms that a text names."""
    text = text[:TEXT_MAX]
    return (form for form, said in _FORMS if said.search(text))


def _periods_of(fields: Mapping[str, Any]) -> Iterator[Period]:
    said = [_whole(text) for text in _texts(fields, YEAR_FIELDS)]
    years = [_year(str(year)) for year in said if year is not None and 0 <= year < 2200]
    quarters = []
    for text in _texts(fields, QUARTER_FIELDS):
        number = _whole(text)
        if number in (1, 2, 3, 4):
            quarters.append(number)
        elif match := _LONE_QUARTER.search(text):
            quarters.append(_quarter(match))
    if years:
        yield from (Period(year, quarter) for year in years for quarter in quarters or [0])
        return
    for text in _texts(fields, PERIOD_FIELDS):
        if match := _DATED.match(text):  # the day on which it ended
            yield Period(int(match["y"]), (int(match["m"]) + 2) // 3)
        else:
            yield from periods(text)


def _quarter(match: re.Match[str]) -> int:
    groups = match.groupdict()
    digit = groups.get("q") or groups.get("r")
    return int(digit) if digit else _ORDINALS[match["o"].lower()]


def _year(text: str) -> int:
    year = int(text.strip("'"))
    return year if year > 99 else year + (2000 if year < 70 else 1900)


def _whole(text: str) -> int | None:
    text = text.strip().upper().removeprefix("FY").strip(" '")
    text = text.removesuffix(".0")
    return int(text) if text.isdigit() and len(text) <= 4 else None


def _texts(fields: Mapping[str, Any], wanted: Iterable[str]) -> Iterator[str]:
    for name in wanted:
        value = fields.get(name)
        for one in value[:VALUES_MAX] if isinstance(value, list | tuple) else [value]:
            if isinstance(one, str) and one.strip():
                yield one[:TEXT_MAX]
            elif isinstance(one, int | float) and not isinstance(one, bool):
                yield str(one)[:TEXT_MAX]


def _words(text: str) -> list[str]:
    """A name's words in small letters, without what shows possession."""
    plain = comparable(text[:TEXT_MAX]).text
    found = [
        word.lower() for word in _WORD.findall(_POSSESSIVE.sub("", plain).replace("& ", "and "))
    ]
    return ["and" if word == "&" else word for word in found]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question may name. ``grams``: runs of its words that may be a company's name, as names
    are compared, with how sure that would be; ``tickers`` likewise. Periods and forms are certain.
    """

    grams: Mapping[str, float] = field(default_factory=dict)
    periods: Sequence[Period] = ()
    forms: Sequence[str] = ()

    def leaves(self) -> list[tuple[str, str]]:
        """Return these as fields with values, as a store is asked whether it has them."""
        return [
            *((WHO, gram) for gram in self.grams),
            *((PERIOD, str(period)) for period in self.periods),
            *((FORM, form) for form in self.forms),
        ]

    def who(self, known: Iterable[tuple[str, str]]) -> dict[str, float]:
        """Return the companies that are meant, of those that are known: the longest name of those
        that stand in each other."""
        there = [value for name, value in known if name == WHO and value in self.grams]
        return {
            one: self.grams[one]
            for one in there
            if not any(f" {one} " in f" {other} " and one != other for other in there)
        }


def of_question(text: str) -> Asked:
    """Return what a question may name."""
    text = comparable(text[:2000]).text.replace(" & ", " and ")
    said = list(dict.fromkeys(periods(text)))
    return Asked(_grams(text, dated=bool(said)), said, list(forms(text)))


SURE, LIKELY, MAYBE = 1.0, 0.8, 0.4


def _grams(text: str, *, dated: bool) -> dict[str, float]:
    text = _POSSESSIVE.sub("", text)
    spans = [(match[0], match.start(), match.end()) for match in _WORD.finditer(text)][:60]
    lower = text == text.lower()
    found: dict[str, float] = {}
    for at in range(len(spans)):
        for size in range(1, GRAM_MAX + 1):
            part = spans[at : at + size]
            if len(part) < size:
                break
            words = [word for word, _, _ in part]
            gram = " ".join(word.lower() for word in words)
            sure = _name_sureness(words, lower=lower and dated, alone=len(spans) <= 3)
            if sure:
                found[gram] = max(sure, found.get(gram, 0.0))
    for match in re.finditer(r"(?<![\w$])\$?[A-Za-z0-9]{1,6}(?:[.\-/][A-Za-z]{1,2})?(?!\w)", text):
        sure = _ticker_sureness(match[0], lower=lower, words=len(spans))
        if sure:
            for symbol in tickers(match[0]):
                found[f"{TICKER}{symbol}"] = max(sure, found.get(f"{TICKER}{symbol}", 0.0))
    return found


def _name_sureness(words: Sequence[str], *, lower: bool, alone: bool) -> float:
    """How sure it is that these words name a company, should there be one of that name."""
    if all(word.lower() in STOP_WORDS or word.isdigit() for word in words):
        return 0.0
    if len(words) > 1:
        return SURE
    if words[0][0].isupper() or alone:
        return SURE
    return MAYBE if lower else 0.0


def _ticker_sureness(word: str, *, lower: bool, words: int) -> float:
    """How sure it is that this is a ticker, should there be one: in capitals, or after "$"."""
    if word.startswith("$"):
        return 0.0 if word[1:].isdigit() else SURE
    if not any(letter.isalpha() for letter in word):
        return 0.0
    if word == word.upper():
        return LIKELY if word in ("A", "I") and words > 1 else SURE
    if lower and word not in STOP_WORDS and (words <= 3 or len(word) > 2):
        return LIKELY if words <= 3 else MAYBE
    return 0.0
