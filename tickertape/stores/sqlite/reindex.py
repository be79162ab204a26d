"""What is worked out of texts and metadata, made anew where an older Tickertape did otherwise: the
table of words, and the fields that filters look up."""

from __future__ import annotations

from typing import Any

import apsw
import structlog

from tickertape.stores import prepare
from tickertape.stores.metadata import load
from tickertape.stores.sqlite import bm25, values

log = structlog.get_logger("tickertape.stores.sqlite")

# Contentless: the passage is kept once, in `passages`. Row ids are the chunks'.
DDL = """
CREATE VIRTUAL TABLE passages_fts USING fts5 (
    text, title, content='', contentless_delete=1, tokenize='porter unicode61'
)
"""
PAGE = 1_000  # passages at a time


def create(db: apsw.Connection) -> None:
    """Create the table, empty."""
    db.execute(DDL)
    db.execute("INSERT INTO passages_fts (passages_fts, rank) VALUES ('rank', ?)", (bm25.RANK,))


def words(db: apsw.Connection) -> None:
    """Index every passage again, in the caller's transaction."""
    count = db.execute("SELECT count(*) FROM passages").get
    log.info("indexing_words_anew", passages=count, reason="an older version cut words otherwise")
    db.execute("DROP TABLE passages_fts")
    create(db)
    last = 0
    while rows := _page(db, last):
        db.executemany(
            "INSERT INTO passages_fts (rowid, text, title) VALUES (?, ?, ?)",
            (
                (id, prepare.words(values.unbind(text)), prepare.title(load(metadata)))
                for id, text, metadata in rows
            ),
        )
        last = rows[-1][0]


def all_documents(db: apsw.Connection) -> None:
    """Index every passage again and look up every document's fields anew, in the caller's
    transaction."""
    words(db)
    db.execute("DELETE FROM fields")
    last = 0
    page = (
        "SELECT id, key, metadata FROM documents WHERE id > ? AND NOT deleted ORDER BY id LIMIT ?"
    )
    while True:
        rows: list[Any] = db.execute(page, (last, PAGE)).fetchall()
        if not rows:
            break
        db.executemany(
            "INSERT INTO fields VALUES (?, ?, ?)",
            (
                (*leaf, id)
                for id, key, metadata in rows
                for leaf in prepare.fields(load(metadata), values.unbind(key))
            ),
        )
        last = rows[-1][0]


def _page(db: apsw.Connection, after: int) -> list[Any]:
    """Passages with their documents' metadata, by their ids."""
    return db.execute(
        "SELECT p.id, p.text, d.metadata FROM passages p JOIN chunks c ON c.id = p.id"
        " JOIN documents d ON d.id = c.document WHERE p.id > ? ORDER BY p.id LIMIT ?",
        (after, PAGE),
    ).fetchall()
