"""Operations done together leave what they leave one by one: every table, row for row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import numpy as np
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from tests.contract.store_kit import MODEL, delete, put, touch, vector_of, version
from tickertape.documents import Operation
from tickertape.stores.sqlite import schema, write
from tickertape.versions import Origin

TABLES = ("documents", "fields", "spaces", "chunks", "passages", "summaries")
WORDS = ("revenue rose", "profit\0fell", "naïve café", "guidance \ud800 cut", "")

ids = st.sampled_from(("a", "b", "c\0", "d\udfff", "ü"))
versions = st.integers(1, 4).map(version)
trees = st.dictionaries(
    st.sampled_from(("ticker", "title", "deep")),
    st.sampled_from(("ACME", 3, None, "\ud800", {"more": [1, "x"]})),
)
texts = st.lists(st.sampled_from(WORDS[:-1]), max_size=3)
models = st.sampled_from((MODEL, "other@fp32"))
batches = st.sampled_from((None, "b", "\ud800"))


@st.composite
def puts(draw: st.DrawFn) -> Operation:
    found, dimension = draw(texts), draw(st.sampled_from((8, 8, 16)))
    return put(
        draw(ids),
        *found,
        vectors=[vector_of(text, dimension) for text in found],
        at=draw(versions),
        model=draw(models),
        metadata=draw(trees),
        batch_id=draw(batches),
    )


operations = st.one_of(
    puts(),
    st.builds(touch, ids, versions),
    st.builds(touch, ids, versions, origin=st.just(Origin("t", 1, 2)), batch_id=batches),
    st.builds(delete, ids, versions),
)


def connect(folder: Path) -> apsw.Connection:
    made = schema.connect(folder / "one.db", lambda _: False)
    schema.create(made)
    return made


def is_error(result: object) -> bool:
    return isinstance(result, Exception)


def content(db: apsw.Connection) -> dict[str, list[Any]]:
    """All rows; a chunk's row id says only which came first, a head's time nothing."""
    found = {t: db.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in TABLES}
    keys = {row[0]: row[1:4] for row in found["documents"]}
    passages = {row[0]: row[1:] for row in found["passages"]}
    used = {row[3] for row in found["chunks"]}  # an empty space fixes nothing
    return {
        "documents": sorted(((*row[1:13], *row[14:]) for row in found["documents"]), key=repr),
        "fields": sorted(((*row[:2], keys[row[2]]) for row in found["fields"]), key=repr),
        "chunks": sorted(
            ((keys[row[1]], row[2], row[4:], passages.pop(row[0])) for row in found["chunks"]),
            key=repr,
        ),
        "left": list(passages.values()),
        "searched": db.execute("SELECT count(*) FROM passages_fts").fetchall(),
        "spaces": sorted(row[1:] for row in found["spaces"] if row[0] in used),
    }


A_TWICE_THEN_ANOTHER_SIZE = [
    put("a", "revenue rose", vectors=[vector_of("x", 8)], model="other@fp32"),
    touch("a", version(1)),
    put("b", "revenue rose", vectors=[vector_of("x", 16)], model="other@fp32"),
]


# The second is refused, though the third would have taken its vectors away again
ANOTHER_SIZE_THEN_NONE = [
    [put("b", "revenue rose", vectors=[vector_of("x", 16)])],
    [put("a", "profit", vectors=[vector_of("y", 8)]), put("a", at=version(2))],
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(operations, max_size=8), max_size=4))
@example([A_TWICE_THEN_ANOTHER_SIZE])  # the first put is right, not the first together
@example(ANOTHER_SIZE_THEN_NONE)
def test_together_and_one_by_one_are_the_same(windows: Sequence[Sequence[Operation]]) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        together, alone = connect(Path(one)), connect(Path(other))
        for window in windows:
            results = write.apply(together, window)
            event("an operation at fault" if any(map(is_error, results)) else "all applied")
            expected = [write.apply(alone, [operation])[0] for operation in window]
            assert list(map(repr, results)) == list(map(repr, expected))
        assert content(together) == content(alone)
        together.close()
        alone.close()


def test_one_at_fault_fails_alone(tmp_path: Path) -> None:
    db = connect(tmp_path)
    good = [put(f"d{n}", "revenue rose") for n in range(5)]
    other = put("other", "a", vectors=[np.ones(3, np.float32)])
    results = write.apply(db, [*good[:2], other, *good[2:]])
    failed = [number for number, result in enumerate(results) if isinstance(result, Exception)]
    assert failed == [2]
    assert db.execute("SELECT count(*) FROM documents").get == len(good)
