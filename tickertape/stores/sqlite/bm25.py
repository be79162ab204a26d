"""BM25 as FTS5 computes it, taken apart: score = sum over words of idf * impact.

What a word adds to a chunk's score (its impact) depends on the chunk alone, apart from the mean
length of all; its idf on how many chunks hold it. Lists of impacts can so be kept in memory and
added up for any query, with FTS5's own ranking as the result.
"""

from __future__ import annotations

import math

import apsw

K1, B = 1.2, 0.75  # FTS5's
IDF_MIN = 1e-6  # FTS5's, for a word that half of all chunks hold
TITLE_WEIGHT = 2.0  # of the FTS column made of title, company, ticker, against 1 of the passage
WEIGHTS = (1.0, TITLE_WEIGHT)
RANK = f"bm25({', '.join(map(str, WEIGHTS))})"


def register(db: apsw.Connection) -> None:
    """Give the connection FTS5 functions ``impact(table)`` (of the first word of the query on
    this chunk) and ``chunk_count(table)``."""
    db.register_fts5_function("impact", _impact)
    db.register_fts5_function("chunk_count", _chunk_count)


def idf(chunks: int, having: int) -> float:
    """The weight of a word that ``having`` of ``chunks`` hold."""
    found = (chunks - having + 0.5) / (having + 0.5)
    return max(math.log(found), IDF_MIN) if found > 0 else IDF_MIN


def _impact(api: apsw.FTS5ExtensionApi, *_: object) -> float:
    frequency = sum(
        weight * len(api.phrase_column_offsets(0, column)) for column, weight in enumerate(WEIGHTS)
    )
    mean = api.column_total_size(-1) / api.row_count
    norm = K1 * (1 - B + B * api.column_size(-1) / mean)
    return frequency * (K1 + 1) / (frequency + norm)


def _chunk_count(api: apsw.FTS5ExtensionApi, *_: object) -> int:
    return api.row_count
