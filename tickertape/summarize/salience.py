"""How much a sentence says about a company's results: rules, read from one table.

What carries in a financial report is the figure, the metric, the period and the outlook;
centrality is at the level of chance there (greetings are central). The points are round numbers
set by hand and nothing here was trained; `loadtest/summaries.py` measures what they are worth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tickertape.quantities import Number, numbers
from tickertape.summarize.forms import Form, Place, stopped
from tickertape.units import PERCENT

# A sentence is judged by its first characters, so an endless one costs no more than a long one.
JUDGED_CHARACTERS = 600


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


FEATURES: Mapping[str, re.Pattern[str]] = {
    "per share": _words(r"per\s(?:[\w-]{1,20}\s){0,3}(?:shares?|units?)|EPS"),
    "earnings": _words(
        r"earnings|EPS|profits? (?:before|after) tax|pre-?tax profits?|underlying profits?"
        r"|(?:half|annual)[ -]loss"
        r"|net (?:income|loss)|FFO|funds from operations|(?:net|operating) profit"
        r"|loss per"
    ),
    "revenue": _words(r"revenues?|sales"),
    "margin": _words(
        r"margins?|EBITDA|operating income|cash flow|dividend|repurchased?|buyback|backlog"
        r"|bookings|capital expenditures|capex|net interest income|combined ratio"
    ),
    "outlook": _words(
        r"guidance|outlook|forecast|expect(?:s|ed|ing)?|anticipat(?:e|es|ed|ing)|project(?:s|ed)"
        r"|rais(?:e|ed|ing)|reaffirm\w*|reiterat\w*|in the range|between"
    ),
    "period": _words(
        r"(?:first|second|third|fourth)[- ]quarter|quarter(?:ly)?|full[- ]year|fiscal|Q[1-4]|FY"
        r"|(?:19|20)\d\d"
    ),
    "change": _words(
        r"increas\w+|decreas\w+|grew|grow(?:th|n)|rose|up|down|declin\w+|fell|compared|versus"
        r"|from|improv\w+|record"
    ),
    "total": _words(r"total|consolidated|company|adjusted|non-GAAP|GAAP|diluted|overall|reported"),
    "part": _words(
        r"segments?|division|region|business unit|stores? in|subsidiar\w+|product line"
        r"|North America\w*|Europe\w*|Asia\w*|International|China"
    ),
    "line of business": _words(
        r"(?:subscription|services?|products?|licen[sc]e|hardware|software|cloud|advertising|rental"
        r"|maintenance|franchised?|digital|online|e-commerce|recurring|wholesale|retail|commercial"
        r"|residential|domestic)\s(?:revenues?|sales)"
    ),
    "aside": _words(
        r"impacts?|charges?|one-time|tax rate|shares outstanding|weighted average|related to"
        r"|interest expense|depreciation|amortization|inventor(?:y|ies)|SG&A|acquisition"
        r"|reconciliation|forward-looking|webcast|non-GAAP (?:financial )?measures?"
    ),
}

# So much a share is no result: a dividend, a price that was paid, what the books say a share is
# worth. Beside the words of earnings it is one ("per share", from which the dividend is paid).
NO_RESULT = _words(
    r"dividends?|distributions?|book value|net asset value|NAV|repurchase[sd]?|bought back|buyback"
    r"|offering|exercise price|par value|(?:average|purchase|offer|share|market) price"
    r"|price (?:per|of)|priced at|consideration"
)

# A sentence earns the points of each row whose features it has all of.
RULES: Sequence[tuple[float, tuple[str, ...]]] = (
    (3.0, ("per share", "money")),
    (2.0, ("earnings", "money")),
    (2.0, ("revenue", "money")),
    (1.0, ("revenue", "percent")),
    (1.0, ("outlook",)),
    (1.0, ("outlook", "per share", "money")),
    (1.0, ("period",)),
    (0.5, ("margin",)),
    (0.5, ("total",)),
    (0.5, ("money",)),
    (0.25, ("change",)),
    (-1.0, ("part",)),
    (-1.0, ("line of business",)),
    (-1.0, ("aside",)),
)
# Under a segment's heading, and no word of it in the sentence: told alone it would be the company's
UNSAID_PART = -4.0

WITHOUT_FIGURE = -5.0  # below any sentence of a usual length that has one
LONG_FROM_CHARACTERS = 90
CHARACTERS_PER_POINT = 60.0  # of length over that: a summary of three sentences stays one to read
SHORT_BELOW_CHARACTERS = 45
LARGE = 1e6  # a scale that is money's, or a count's that matters as much
UNSTOPPED = -1.0
METRICS = frozenset({"per share", "earnings", "revenue", "margin"})

_FINANCIAL_TYPE = re.compile(
    r"earnings|results|transcript|filing|annual|quarter|10-?[KQ]|8-?K|20-?F|6-?K", re.IGNORECASE
)


PROSE = Place(Form.PROSE)


class Judged(NamedTuple):
    """One sentence. ``points``: about -5 to 10, less for a very long one."""

    points: float
    reports: bool  # names a figure together with a metric of results


def judge(sentence: str, place: Place = PROSE) -> Judged:
    """Judge a sentence, in its comparable form, by the rules.

    Only prose that has a figure with a unit (money, percent) can earn points.
    """
    judged = sentence[:JUDGED_CHARACTERS]
    form = _length_points(len(sentence)) + (0.0 if stopped(sentence) else UNSTOPPED)
    if place.form is not Form.PROSE or not any(map(str.isdigit, judged)):
        return Judged(WITHOUT_FIGURE + form, False)
    found = {kind for number in numbers(judged) if (kind := _kind(number))}
    if not found:
        return Judged(WITHOUT_FIGURE + form, False)
    found.update(name for name, pattern in FEATURES.items() if pattern.search(judged))
    if "earnings" not in found and NO_RESULT.search(judged):
        found.discard("per share")
    if place.named:
        found.add("part")
    earned = sum(value for value, needed in RULES if found.issuperset(needed))
    if place.under and "part" not in found:
        earned += UNSAID_PART
    return Judged(form + earned, not found.isdisjoint(METRICS))


def _kind(number: Number) -> str | None:
    """What a number tells of results: a percentage, money (or a large count), or nothing."""
    if number.unit == PERCENT:
        return "percent"
    many = number.scale >= LARGE or number.scale < 1.0  # 612m, 91 cents
    return "money" if number.unit or many else None


def _length_points(characters: int) -> float:
    over = max(0, characters - LONG_FROM_CHARACTERS) / CHARACTERS_PER_POINT
    under = max(0, SHORT_BELOW_CHARACTERS - characters) / (SHORT_BELOW_CHARACTERS / 2)
    return -over - under


def is_financial(sentences: Sequence[Judged], metadata: Mapping[str, object]) -> bool:
    """Tell whether a text of these sentences reports a company's results.

    At least one sentence in fifty names a figure with its metric; where ``document_type`` says
    that the document is a report or a call, one such sentence is enough.
    """
    reporting = sum(sentence.reports for sentence in sentences)
    if _FINANCIAL_TYPE.search(str(metadata.get("document_type") or "")[:100]):
        return reporting > 0
    return reporting > 0 and reporting * 50 >= len(sentences)
