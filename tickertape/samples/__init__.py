"""Sample documents to try Tickertape with: earnings, filings and news of companies we made up."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from tickertape.samples.companies import COMPANIES
from tickertape.samples.figures import figures

# A text's first line is its title, the second its document_type, then a blank line.
TEXTS = (
    "earnings_release",
    "form_10q",
    "news_acquisition",
    "form_10k",
    "form_8k_officer",
    "earnings_call",
    "news_disruption",
    "form_8k_credit",
    "news_outlook",
    "form_10k_risks",
    "shareholder_letter",
    "news_buyback",
)
_YEARS = range(2016, 2025)
_QUARTERS = ("first", "second", "third", "fourth")
_ANNUAL = frozenset({"form_10k", "form_10k_risks", "shareholder_letter"})


def samples(count: int) -> Iterator[dict[str, Any]]:
    """Yield ``count`` different documents, always the same ones in the same order.

    Each is a financial-documents record: id, title, text, document_type, company, ticker,
    published (a date), source. The first twelve are of twelve kinds and twelve companies.
    """
    for index in range(count):
        yield _sample(index)


def _sample(index: int) -> dict[str, Any]:
    name = TEXTS[index % len(TEXTS)]
    # Each round of kinds moves on by a company, each round of companies by a quarter.
    turn = index // len(TEXTS)
    company = COMPANIES[(index + turn) % len(COMPANIES)]
    quarter = (index // (len(TEXTS) * len(COMPANIES)) + index % len(TEXTS)) % (len(_YEARS) * 4)
    year = _YEARS[len(_YEARS) - 1 - quarter // 4]
    rng = random.Random(index)
    annual = name in _ANNUAL
    ordinal = 3 if annual else quarter % 4
    published = date(year, 3 * ordinal + 3, 28) + timedelta(days=rng.randrange(20, 55))
    words = asdict(company) | figures(rng, company.revenue, 4 if annual else 1, year - _YEARS[0])
    words |= {
        "year": str(year),
        "prior_year": str(year - 1),
        "next_year": str(year + 1),
        "quarter": _QUARTERS[ordinal],
        "next_quarter": _QUARTERS[(ordinal + 1) % 4],
        "date": f"{published:%B} {published.day}, {published.year}",
    }
    title, kind, text = _template(name)
    return {
        "id": f"sample-{index + 1:05d}",
        "title": _fill(title, words),
        "text": _fill(text, words),
        "document_type": kind,
        "company": company.company,
        "ticker": company.ticker,
        "published": published.isoformat(),
        "source": "samples",
    }


@cache
def _template(name: str) -> tuple[str, str, str]:
    """Return a text's title, document_type and body, with the names of figures in braces."""
    raw = (files(__package__) / f"{name}.txt").read_text("utf-8")
    title, kind, body = raw.split("\n", 2)
    return title, kind, body.strip()


def _fill(template: str, words: Mapping[str, str]) -> str:
    """Return the text with its figures; a name that ends in a full stop needs no second one."""
    return template.format_map(words).replace("..", ".")
