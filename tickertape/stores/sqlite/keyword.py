"""Keyword search: BM25 over passage and title. Nothing a user types is FTS5 syntax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw
import numpy as np

from tickertape import terms
from tickertape.stores import prepare
from tickertape.stores.base import Query
from tickertape.stores.sqlite import filters
from tickertape.stores.sqlite.filters import Filter
from tickertape.stores.sqlite.postings import Postings, Scores
from tickertape.stores.sqlite.signbits import Ids

TERMS_MAX = 200
SPARE = 50  # candidates beyond the limit, for those that are gone since
FILTERED_MIN = 1000  # candidates on which a filter is tried
DEEPER = 4
SAMPLE = 16  # one score in so many, for a first bound


def search(
    db: apsw.Connection, postings: Postings, query: Query, chosen: Filter | None
) -> list[tuple[int, float]]:
    """Return (chunk id, BM25 > 0), best first. The text's words are OR-ed."""
    ids, scores = postings.scored(db, words(db, query.text))
    if chosen is not None and chosen.few:
        among = np.isin(ids, filters.matching(db, chosen))
        ids, scores = ids[among], scores[among]
        chosen = None
    # A filter is checked on the best; where too few of them match, on all that match.
    tried = query.limit + SPARE if chosen is None else max(FILTERED_MIN, 2 * query.limit)
    while True:
        best = _best(ids, scores, tried)
        there = np.isin(ids[best], filters.passing(db, ids[best], chosen))
        best = best[there][: query.limit]
        if len(best) == query.limit or tried >= len(ids):
            return list(zip(ids[best].tolist(), scores[best].tolist(), strict=True))
        if chosen is not None:
            among = np.isin(ids, filters.matching(db, chosen))
            ids, scores = ids[among], scores[among]
        tried = DEEPER * tried


def weight(db: apsw.Connection, postings: Postings, text: str) -> float:
    """Return what a chunk of usual length scores that holds each of the text's words once."""
    return postings.weight(db, terms.once(words(db, text)))


def words(db: apsw.Connection, text: str) -> list[str]:
    """The question's words, as FTS5's own tokenizer cuts them, each once, without stop words."""
    tokenizer = db.fts5_tokenizer("unicode61")
    tokens: Iterable[Any] = tokenizer(
        terms.asked(prepare.plain(text)).encode(),
        apsw.FTS5_TOKENIZE_QUERY,
        None,
        include_offsets=False,
        include_colocated=False,
    )
    return terms.significant(tokens)[:TERMS_MAX]


def _best(ids: Ids, scores: Scores, count: int) -> Ids:
    """Positions of the ``count`` greatest scores, best first; of equals the first ids."""
    places = np.arange(len(ids))
    if count < len(ids) // SAMPLE:
        # Of all there are as many over this as of the sample, and more.
        places = np.flatnonzero(scores >= _least(scores[::SAMPLE], count))
    if count < len(places):
        among = scores[places]
        least = _least(among, count)
        above, equal = np.flatnonzero(among > least), np.flatnonzero(among == least)
        chosen = np.concatenate([above, equal[: count - len(above)]])
        chosen.sort()
        places = places[chosen]
    order: Ids = places[np.argsort(-scores[places], kind="stable")]
    return order


def _least(scores: Scores, count: int) -> np.float32:
    """The least of the ``count`` greatest."""
    least: np.float32 = np.partition(scores, len(scores) - count)[len(scores) - count]
    return least
