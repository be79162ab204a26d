"""Questions whose one answer is known: each names an earnings call's company and period. Pure.

What is asked about is what a bullet of the call's reference says, without its figures and period.
The documents say whose they are and of when in one of three ways, as producers do: a title alone,
fields for quarter and year, or one field with both. The questions say it in other words. Companies
are split in two halves: what is tuned is tuned on one, what is reported is of the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# A company's name where it is asked for by that; by its ticker else.
NAMES = {
    "AAP": "Advance Auto Parts", "AEE": "Ameren", "AFL": "Aflac", "AL": "Air Lease",
    "ALK": "Alaska Air Group", "ALL": "Allstate", "AON": "Aon", "AXP": "American Express",
    "AZO": "AutoZone", "BAC": "Bank of America", "BG": "Bunge", "BIG": "Big Lots",
    "BKU": "BankUnited", "BOX": "Box", "B": "Barnes Group", "A": "Agilent Technologies",
    "CBZ": "CBIZ", "CHD": "Church & Dwight", "CI": "Cigna", "CIR": "CIRCOR International",
    "CMG": "Chipotle Mexican Grill", "CPF": "Central Pacific Financial", "CRI": "Carter's",
    "CVX": "Chevron", "CWT": "California Water Service", "DAN": "Dana", "DBD": "Diebold Nixdorf",
    "DHR": "Danaher", "DIN": "Dine Brands", "DVA": "DaVita", "DVN": "Devon Energy",
    "EFX": "Equifax", "EME": "EMCOR Group", "EMR": "Emerson Electric", "ETN": "Eaton",
    "FDP": "Fresh Del Monte Produce", "FE": "FirstEnergy", "FLS": "Flowserve",
    "FRO": "Frontline", "GFF": "Griffon", "GLW": "Corning", "GPS": "Gap", "HOG": "Harley-Davidson",
    "HRL": "Hormel Foods", "HWM": "Howmet Aerospace", "HZO": "MarineMax", "IEX": "IDEX",
    "IFF": "International Flavors & Fragrances", "JCI": "Johnson Controls", "JWN": "Nordstrom",
    "KMI": "Kinder Morgan", "KO": "Coca-Cola", "KOS": "Kosmos Energy", "LH": "Labcorp",
    "LOW": "Lowe's", "MA": "Mastercard", "MAN": "ManpowerGroup", "MCD": "McDonald's",
    "MO": "Altria Group", "MRO": "Marathon Oil", "NFG": "National Fuel Gas", "NKE": "Nike",
    "NOW": "ServiceNow", "PB": "Prosperity Bancshares", "PII": "Polaris", "RL": "Ralph Lauren",
    "ROG": "Rogers", "RTX": "Raytheon Technologies", "SAH": "Sonic Automotive",
    "SAM": "Boston Beer", "SNX": "SYNNEX", "SYY": "Sysco", "T": "AT&T", "TAP": "Molson Coors",
    "TDC": "Teradata", "TEX": "Terex", "TGT": "Target", "TNC": "Tennant", "TTC": "Toro",
    "UPS": "United Parcel Service", "WHR": "Whirlpool", "WNC": "Wabash National",
    "WSO": "Watsco", "WU": "Western Union", "ABM": "ABM Industries", "PPG": "PPG Industries",
    "AZZ": "AZZ", "BAX": "Baxter International", "ITT": "ITT", "OGE": "OGE Energy",
}  # fmt: skip
_ORDINALS = ("first", "second", "third", "fourth")
_PERIODS = (
    "Q{quarter} {year}",
    "the {ordinal} quarter of {year}",
    "{quarter}Q{short}",
    "fiscal {year} Q{quarter}",
    "the {ordinal} quarter {year}",
)
_FORMS = (
    "What was {name}'s {topic} in {period}?",
    "{name} {period} {topic}",
    "{topic} at {name}, {period}",
    "What did {name} say about {topic} for {period}?",
    "How did {topic} develop at {name} in {period}?",
)
# What of a bullet names a period, a figure, or its maker's own placeholder
_DROPPED = re.compile(
    r"\bcompname\b(?:'s)?|\b(?:q[1-4]|[1-4]q|fy|qtrly|quarterly|quarter|full[- ]year|fiscal)\b"
    r"|\b(?:first|second|third|fourth)\b|\b(?:reports|posts|says|sees|announces)\b"
    r"|[$\u20ac\u00a3]?\d[\d,.]*(?:\s?(?:million|billion|percent|%|bps|basis points|per share))?|%"
    r"|\([^)]*\)"
)
_WORDS_MIN, _WORDS_MAX = 2, 9


@dataclass(frozen=True)
class KnownItem:
    """A question and the id of the one document that is asked for."""

    question: str
    id: str
    held_out: bool  # of a company on which nothing was tuned


def document(call: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a call's text and metadata."""
    ticker, quarter, year = call["ticker"], call["quarter"], call["year"]
    name = NAMES.get(ticker)
    metadata: dict[str, Any] = {"ticker": ticker} | ({"company": name} if name else {})
    match _chosen(call["id"], "shape", 3):
        case 0:
            metadata["title"] = f"{name or ticker} Q{quarter} {year} Earnings Call"
        case 1:
            metadata |= {"quarter": quarter, "year": year, "document_type": "earnings call"}
        case _:
            metadata |= {"period": f"{year}-Q{quarter}", "document_type": "transcript"}
    return " ".join(call["sentences"]), metadata


def questions(calls: Iterable[Mapping[str, Any]]) -> Iterator[KnownItem]:
    """Yield a question for each call whose reference says enough to ask about."""
    for call in calls:
        topics = [topic for bullet in call["reference"] if (topic := _topic(bullet))]
        if not topics:
            continue
        id, ticker = call["id"], call["ticker"]
        words = {
            "quarter": call["quarter"],
            "year": call["year"],
            "short": call["year"] % 100,
            "ordinal": _ORDINALS[call["quarter"] - 1],
        }
        name = NAMES.get(ticker, ticker)
        question = _FORMS[_chosen(id, "form", len(_FORMS))].format(
            name=name if _chosen(id, "name", 3) else ticker,
            topic=topics[_chosen(id, "topic", len(topics))],
            period=_PERIODS[_chosen(id, "period", len(_PERIODS))].format(**words),
        )
        yield KnownItem(question, id, _chosen(ticker, "half", 2) == 1)


def _topic(bullet: str) -> str:
    words = _DROPPED.sub(" ", bullet).replace(";", " ").strip(" .").split()
    while words and words[-1] in ("of", "to", "was", "were", "for", "in", "the", "and", "by", "-"):
        words.pop()
    return " ".join(words[:_WORDS_MAX]) if len(words) >= _WORDS_MIN else ""


def _chosen(text: str, what: str, count: int) -> int:
    """One of so many, the same in every run."""
    digest = hashlib.blake2b(f"{what}:{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % count
