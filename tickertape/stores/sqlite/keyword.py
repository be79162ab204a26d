"""Keyword search: FTS5's BM25 over passage and title. Nothing a user types is FTS5 syntax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from tickertape.stores.base import Query
from tickertape.stores.sqlite import values
from tickertape.stores.sqlite.filters import Filter

TERMS_MAX = 200

# What carries no meaning in a question. Words of direction and order (up, down, before, after,
# over, from...) are not among them: "up 5 %", "before tax". Their removal costs .002 nDCG@10.
STOP_WORDS = frozenset(
    """
    a about again against all am an and any are as at be because been being both but by can could
    did do does doing each few for further had has have having he her here hers him his how i if in
    into is it its itself just me more most my no nor not now of off on once only or other our ours
    out own same she should so some such than that the their theirs them then there these they this
    those through to too until very was we were what when where which while who whom why will with
    would you your yours
    """.split()  # noqa: SIM905 -- readable as text
)


def search(db: apsw.Connection, query: Query, chosen: Filter | None) -> list[tuple[int, float]]:
    """Return (chunk id, BM25 > 0), best first. The text's words are OR-ed."""
    match = _match(db, query.text)
    if not match:
        return []
    sql = "SELECT f.rowid, -f.rank FROM passages_fts f"
    bindings: tuple[Any, ...] = (match,)
    where = ""
    if chosen is not None:
        sql += " CROSS JOIN chunks c ON c.id = f.rowid CROSS JOIN documents d ON d.id = c.document"
        where = f" AND {chosen.where}"
        bindings += tuple(chosen.bindings)
    sql += f" WHERE f.passages_fts MATCH ?{where} ORDER BY f.rank LIMIT ?"
    found: list[Any] = db.execute(sql, (*bindings, query.limit)).fetchall()
    return found


def _match(db: apsw.Connection, text: str) -> str:
    """The text's words, as FTS5's own tokenizer cuts them, each quoted, joined by OR."""
    tokenizer = db.fts5_tokenizer("unicode61")
    tokens: Iterable[Any] = tokenizer(
        values.words(text).encode(),
        apsw.FTS5_TOKENIZE_QUERY,
        None,
        include_offsets=False,
        include_colocated=False,
    )
    words = list(dict.fromkeys(tokens))
    words = [word for word in words if word not in STOP_WORDS] or words
    return " OR ".join(f'"{word}"' for word in words[:TERMS_MAX])
