"""Thirty odd queries with what each has to find: tickers that are words, figures, forms, signs, and
what is nowhere. Pure.

`DOCUMENTS` stand among the earnings calls of `loadtest.known_items`, which are what is found where
an exact hit is not above the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DOCUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "brk": (
        "Insurance underwriting earnings rose and the float grew to 169 billion dollars.",
        {"company": "Berkshire Hathaway Inc.", "ticker": "BRK.B", "title": "Annual report"},
    ),
    "on": (
        "Silicon carbide revenue doubled as automotive customers ramped up.",
        {"company": "ON Semiconductor Corporation", "ticker": "ON"},
    ),
    "it": (
        "Research contract value grew and conferences returned in person.",
        {"company": "Gartner, Inc.", "ticker": "IT"},
    ),
    "att": (
        "Fibre subscribers grew and wireless churn fell.",
        {"company": "AT&T Inc.", "ticker": "NYSE: T"},
    ),
    "10k": (
        "Item 1A. The risks described below could harm our orchards and wine cellars.",
        {"title": "Form 10-K for the year 2019", "document_type": "10-K", "company": "Vintner"},
    ),
    "8k": (
        "Item 5.02. The board of Vintner appointed a new treasurer.",
        {"title": "Current report", "document_type": "8-K", "company": "Vintner"},
    ),
    "bn": ("The harbour authority borrowed $4.27 billion for the new quay.", {}),
    "percent": ("Ferry tariffs go up by 8.35 percent in spring.", {}),
    "rocket": ("Retail chat rooms posted \U0001f680 beside the share's name all day.", {}),
    "isin": ("The bond with ISIN XS2314659447 was called early.", {}),
    "docket": ("Docket 22-CV-01834 was dismissed with prejudice.", {}),
    "toyota": ("\u30c8\u30e8\u30bf\u306e\u55b6\u696d\u5229\u76ca", {}),
    "heading": ("Lighthouse maintenance\n\nThe keepers painted both lighthouses white.", {}),
    "accents": ("Soci\u00e9t\u00e9 G\u00e9n\u00e9rale closed its Z\u00fcrich branch.", {}),
}  # fmt: skip


@dataclass(frozen=True)
class Odd:
    """A query and what is right: the first hit is one of ``first`` (an id, or the beginning of ids
    that ends in "_"); without any, no hit scores ``below`` or more, and none is right too."""

    query: str
    first: Sequence[str] = ()
    below: float = 0.5

    def right(self, found: Sequence[tuple[str, float]]) -> bool:
        """Tell whether these hits, (document id, score), best first, are right."""
        if not self.first:
            return all(score < self.below for _, score in found)
        return bool(found) and any(
            found[0][0] == one or (one.endswith("_") and found[0][0].startswith(one))
            for one in self.first
        )


ODD = (
    Odd("BRK", ("brk",)),
    Odd("BRK.B", ("brk",)),
    Odd("brk.b", ("brk",)),
    Odd("Berkshire", ("brk",)),
    Odd("ON", ("on",)),
    Odd("$ON", ("on",)),
    Odd("IT", ("it", "IT_")),
    Odd("NOW", ("NOW_",)),
    Odd("ALL", ("ALL_",)),
    Odd("A", ("A_",)),
    Odd("T", ("att",)),
    Odd("NOW subscription revenue", ("NOW_",)),
    Odd("AT&T", ("att",)),
    Odd("10-K", ("10k",)),
    Odd("10K", ("10k",)),
    Odd("form 10 - K", ("10k",)),
    Odd("8-K", ("8k",)),
    Odd("$4.27bn", ("bn",)),
    Odd("4,270 million", ("bn",)),
    Odd("USD 4.27 billion", ("bn",)),
    Odd("8.35 %", ("percent",)),
    Odd("8.35%", ("percent",)),
    Odd("\U0001f680", ("rocket",)),
    Odd("XS2314659447", ("isin",)),
    Odd("22-CV-01834", ("docket",)),
    Odd("\u55b6\u696d\u5229\u76ca", ("toyota",)),
    Odd("societe generale zurich", ("accents",)),
    Odd("lighthouse", ("heading",)),
    Odd("Does Tesla pay a dividend?"),
    Odd("qzxv wkjhq zzyzx"),
    Odd("chocolate cake recipe with raspberries"),
    Odd("\U0001f9a9"),
)
