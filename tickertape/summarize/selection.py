"""Which sentences a summary is made of. Pure: spans and points in, indices out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tickertape.chunking import Span
from tickertape.documents import Vectors
from tickertape.summarize import forms, salience
from tickertape.summarize.forms import Form
from tickertape.summarize.pieces import pieces
from tickertape.text import comparable

# What is longer (a table in one run, text without ends) is cut at a space: a summary is bounded.
SENTENCE_CHARACTERS_MAX = 1000
# Of how many sentences a summary is chosen, however long the document is. Of a report so many, or
# twice the sentences of the summary; of another text they are embedded.
FINANCIAL_CANDIDATES = 12
PLAIN_CANDIDATES = 200
PLAIN_LEAD = 50  # of those, from the start; the others evenly from the rest

PROTOTYPE_POINTS = 6.0  # per unit of cosine: against points of -5 to 10
FINANCIAL_REDUNDANCY = 1.0  # points, per unit of cosine to what is picked
REPEATED_FIGURES = 4.0  # points, if all its figures stand in what is picked: a table after the text
PLAIN_REDUNDANCY = 0.5  # per unit of cosine to what is picked, against centrality of 0 to 1
PLAIN_POSITION = 0.2  # of the first sentence; half of it five sentences on
PLAIN_USUAL_CHARACTERS = (25, 600)
PLAIN_UNUSUAL = -0.5

_WORD = re.compile(r"\w+")
_FIGURE = re.compile(r"\d[\d,]{0,20}(?:\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Draft:
    """A document before the choice.

    ``spans``: its distinct sentences in order. ``repeated``: there were others, left out.
    ``candidates``: indices of those to choose from, in order; ``points``: what the rules give each;
    ``figures``: the numbers in each.
    """

    spans: Sequence[Span]
    repeated: bool
    financial: bool
    candidates: Sequence[int]
    points: Sequence[float]
    figures: Sequence[frozenset[str]]


def draft(text: str, metadata: Mapping[str, object], count: int) -> Draft:
    """Cut a readable document into sentences; find those of which a summary of ``count`` sentences
    is to be chosen: of a report the best by points."""
    spans, repeated = _distinct(text, pieces(text, SENTENCE_CHARACTERS_MAX))
    found = forms.places(text, spans)
    said = [" ".join(comparable(text[start:end]).text.split()) for start, end in spans]
    judged = [salience.judge(*each) for each in zip(said, found, strict=True)]
    prose = [i for i, place in enumerate(found) if place.form is Form.PROSE] or [*range(len(spans))]
    financial = salience.is_financial([judged[i] for i in prose], metadata)
    if financial:
        # Equal points: the earlier one, as sorting is stable.
        best = sorted(prose, key=lambda i: -judged[i].points)
        chosen = sorted(best[: max(FINANCIAL_CANDIDATES, 2 * count)])
        points = [judged[i].points for i in chosen]
    else:
        plain = {i: _plain(said[i], position) for position, i in enumerate(prose)}
        chosen = _spread(plain, count)
        points = [plain[i] for i in chosen]
    figures = [frozenset(_FIGURE.findall(said[i])) for i in chosen]
    return Draft(spans, repeated, financial, chosen, points, figures)


def choose(plan: Draft, vectors: Vectors, count: int, like: Vectors | None = None) -> list[Span]:
    """Return at most ``count`` spans in document order.

    ``vectors``: float32 [candidates, dimension]; ``like``, of a report: [prototypes, dimension];
    unit rows. A report's sentence counts by its points and its likeness to a prototype, another
    text's by its likeness to the whole; each less its likeness to what is picked already.
    """
    scores = np.asarray(plan.points, np.float32)
    if like is not None:
        scores = scores + PROTOTYPE_POINTS * (vectors @ like.T).max(axis=1)
        redundancy, repeats = FINANCIAL_REDUNDANCY, REPEATED_FIGURES
    else:
        centre = vectors.mean(axis=0)
        scores = scores + vectors @ (centre / max(float(np.linalg.norm(centre)), 1e-9))
        redundancy, repeats = PLAIN_REDUNDANCY, 0.0
    likeness = np.zeros(len(scores), np.float32)
    repeated = np.zeros(len(scores), np.float32)
    open_ = np.ones(len(scores), bool)
    told: set[str] = set()
    picked = []
    for _ in range(min(count, len(scores))):
        now = scores - redundancy * likeness - repeats * repeated
        best = int(np.argmax(np.where(open_, now, -np.inf)))
        picked.append(plan.candidates[best])
        open_[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
        told |= plan.figures[best]
        shares = [len(own & told) / len(own) if own else 0.0 for own in plan.figures]
        repeated = np.asarray(shares, np.float32)
    return [plan.spans[i] for i in sorted(picked)]


def _distinct(text: str, spans: Sequence[Span]) -> tuple[list[Span], bool]:
    """Leave out what was said before (case and punctuation aside) and what has no word."""
    seen = set()
    kept = []
    for start, end in spans:
        words = tuple(_WORD.findall(text[start:end].casefold()))
        if words and words not in seen:
            seen.add(words)
            kept.append((start, end))
    if not kept:
        return list(spans[:1]), len(spans) > 1
    return kept, len(kept) < len(spans)


def _spread(points: Mapping[int, float], count: int) -> list[int]:
    usual = [i for i, value in points.items() if value >= 0]
    if len(usual) < count:
        usual = list(points)
    if len(usual) <= PLAIN_CANDIDATES:
        return usual
    rest = np.linspace(PLAIN_LEAD, len(usual) - 1, PLAIN_CANDIDATES - PLAIN_LEAD).astype(int)
    return usual[:PLAIN_LEAD] + [usual[i] for i in rest]


def _plain(sentence: str, position: int) -> float:
    """Points of a sentence of no report: 0 to 0.2 by position, below 0 if it is no usual one."""
    low, high = PLAIN_USUAL_CHARACTERS
    usual = low <= len(sentence) <= high and forms.stopped(sentence)
    return PLAIN_POSITION / (1 + position / 5) + (0.0 if usual else PLAIN_UNUSUAL)
