"""How well a passage answers a question: from what both sides of a search gave, its words, and what
is known of its document. Pure.

A score is of the passage and the question alone, so it means the same whatever else was found and
whatever was filtered: the cosine over what a paraphrase has, the share of the question's words
(weighed as BM25 weighs them), the share of its pairs of neighbours, and how well the document's
company, period and form are those that the question names. 1 is all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from tickertape import facets, terms
from tickertape.facets import Facets, Period
from tickertape.stores import prepare, words
from tickertape.terms import STOP_WORDS
from tickertape.text import comparable

COSINE_FULL = 0.9  # what a passage that says the same has
DENSE, KEYWORD, PAIRS, SHARE = 0.5, 0.5, 0.5, 0.1  # weights; measured by `loadtest.quality`
OFTEN = 1.5  # what a passage about a word has of it, over one that has it once
WHO, PERIOD, FORM = 0.6, 0.4, 0.4
UNNAMED = 0.25  # part of a score that goes where none of the names that a question has is there
HEADING, HEADING_WORDS = 0.8, 8  # a heading alone is worth less than what stands under it
UNKNOWN = 0.3  # of a document that says nothing of its period
OF_YEAR = 0.6  # a document of the whole year, where a quarter of it is asked for
OTHER_QUARTER = 0.2
FLOOR, WORDLESS_FLOOR = 0.05, 0.15  # below, a passage says nothing; without a word of the question

NOTHING = Facets()
K = TypeVar("K")

_STOPS = frozenset(stem for word in STOP_WORDS for stem in words.stems(word))
_NAME = re.compile(r"(?<![^\W_])[A-Z][^\W_]*(?:[&.][A-Z][^\W_]*)*")
_SHORT = 4  # words of a question whose first word may be a name


@dataclass(frozen=True, slots=True)
class Question:
    """A question as passages are compared with it. ``who``: the companies that it names and how
    sure that is."""

    stems: Sequence[str]  # that tell something, each once
    pairs: Mapping[tuple[str, str], int]
    names: Sequence[frozenset[str]]  # of each word that is a name, its stems
    who: Mapping[str, float] = field(default_factory=dict)
    periods: Sequence[Period] = ()
    forms: Sequence[str] = ()
    plain: bool = True  # all of its words stand in texts as they are


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that may answer, with its document's metadata."""

    text: str
    metadata: Mapping[str, Any]
    id: str
    dense: float | None
    keyword: float | None


def question(
    text: str,
    who: Mapping[str, float] | None = None,
    periods: Sequence[Period] = (),
    forms: Sequence[str] = (),
) -> Question:
    """Return what passages are compared with."""
    every = words.stems(terms.asked(prepare.plain(text)))
    pairs = {
        pair: weight
        for pair in pairwise(every)
        if (weight := sum(stem not in _STOPS for stem in pair))
    }
    stems = words.asked(text, once=True)
    plain = all(stem.isprintable() for stem in stems)  # the marks of other words are not
    return Question(stems, pairs, _names(text), who or {}, periods, forms, plain)


def scale_of(weight: float) -> float:
    """Return what makes BM25 a share, of what it is where each of the question's words is there."""
    return 1 / (OFTEN * weight) if weight > 0 else 0.0


def keyword_scale(asked: Question, best: Iterable[Candidate]) -> float:
    """Return the same where the store does not say: as BM25 is the share of the question's words
    that a passage has, of those that words rank highest."""
    shares = scores = 0.0
    for one in best:
        if one.keyword:
            shares += _share(asked.stems, frozenset(stems_of(asked, one, _title(one))))
            scores += one.keyword
    return shares / scores if scores else 0.0


def stems_of(asked: Question, candidate: Candidate, title: Sequence[str]) -> list[str]:
    """Return the words of a passage behind those of its document's title, as stems: with those that
    an index has beside the text where the question has such."""
    read = words.read if asked.plain else lambda text: words.stems(prepare.words(text))
    return [*title, *read(candidate.text)]


def _title(one: Candidate) -> list[str]:
    return words.stems(prepare.title(one.metadata))


def scores(asked: Question, candidates: Mapping[K, Candidate], scale: float) -> dict[K, float]:
    """Return how well each passage answers, from 0 to 1."""
    known: dict[int, tuple[Facets, list[str]]] = {}  # of each document, by its metadata
    found: dict[K, float] = {}
    reads = asked.who or asked.periods or asked.forms
    for name, one in candidates.items():
        if id(one.metadata) not in known:
            said = facets.of_document(one.metadata, one.id) if reads else NOTHING
            known[id(one.metadata)] = said, _title(one)
        found[name] = score(asked, one, scale, *known[id(one.metadata)])
    return found


def score(
    asked: Question, one: Candidate, scale: float, known: Facets, title: Sequence[str] = ()
) -> float:
    """Return how well the passage of a document of which this is known answers, from 0 to 1."""
    stems = stems_of(asked, one, title)
    there = frozenset(stems)
    parts = [
        (DENSE, _within(one.dense / COSINE_FULL if one.dense is not None else 0.0)),
        (KEYWORD, _within(scale * one.keyword if one.keyword else 0.0)),
        (SHARE, _share(asked.stems, there)),
    ]
    if asked.pairs:
        together = frozenset(pairwise(stems))
        said = sum(weight for pair, weight in asked.pairs.items() if pair in together)
        parts.append((PAIRS, said / sum(asked.pairs.values())))
    parts += preferred(asked, known)
    found = sum(weight * value for weight, value in parts) / sum(weight for weight, _ in parts)
    if is_heading(one.text):
        found *= HEADING
    if asked.names and not (asked.who and known.who & asked.who.keys()):
        missing = sum(not (name & there) for name in asked.names) / len(asked.names)
        found *= 1 - UNNAMED * missing
    wordless = there.isdisjoint(asked.stems)
    return 0.0 if found < (WORDLESS_FLOOR if wordless else FLOOR) else found


def is_heading(text: str) -> bool:
    """Tell whether a passage is a heading alone: a few words on a line that end no sentence."""
    text = text.strip()
    if "\n" in text or text.endswith((".", "!", "?", ":", ";", "%", ")", '"', "\u201d")):
        return False
    said = text.split()
    return len(said) <= HEADING_WORDS and not any(letter.isdigit() for letter in text)


def preferred(asked: Question, known: Facets) -> list[tuple[float, float]]:
    """Return weights with how well a document is of the company, period and form that are asked
    for, for those that are."""
    found = []
    if asked.who:
        sure = max(asked.who.values())
        found.append((WHO * sure, max((asked.who.get(one, 0.0) for one in known.who), default=0.0)))
    if asked.periods:
        found.append((PERIOD, max(_of_period(each, known.periods) for each in asked.periods)))
    if asked.forms:
        found.append((FORM, float(not known.forms.isdisjoint(asked.forms))))
    return found


def _of_period(asked: Period, known: frozenset[Period]) -> float:
    if not known:
        return UNKNOWN
    best = 0.0
    for each in known:
        if asked.year and each.year and asked.year != each.year:
            continue
        if not asked.quarter or asked.quarter == each.quarter:
            best = 1.0
        elif not each.quarter:
            best = max(best, OF_YEAR)
        elif asked.year == each.year:
            best = max(best, OTHER_QUARTER)
    return best


def _share(stems: Sequence[str], there: frozenset[str]) -> float:
    return sum(stem in there for stem in stems) / len(stems) if stems else 0.0


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))


def _names(text: str) -> list[frozenset[str]]:
    """The words with a capital, but the first of a sentence, which has one anyway."""
    text = comparable(text).text
    found = []
    for match in _NAME.finditer(text):
        first = not text[: match.start()].strip() and len(text.split()) > _SHORT
        if first or match[0].lower() in STOP_WORDS or text.isupper():
            continue
        found.append(frozenset(words.stems(prepare.words(match[0]))))
    return [each for each in found if each]
