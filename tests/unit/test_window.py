"""Whatever a call of `apply` holds, its changes end as the operations do one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.contract.store_kit import key
from tests.contract.test_stores_stateful import calls, chunks, told
from tests.memory_store import Memory
from tickertape.documents import Applied, DocumentKey, Head, Operation, StoredChunk
from tickertape.editions import Deletes, Editions
from tickertape.stores.window import (
    Change,
    LedgerEntry,
    Window,
    Written,
    concerned,
    of_document,
    ready,
)

EVERY = [key(id, collection) for id in "abc" for collection in "xy"]


@dataclass
class Row:
    """A document as a database has it."""

    entry: LedgerEntry
    editions: str
    written: Written
    chunks: dict[int, tuple[StoredChunk, str]] = field(default_factory=dict)


class Database:
    """Reads entries and writes changes, as a store does."""

    def __init__(self) -> None:
        self.rows: dict[DocumentKey, Row] = {}
        self.deletes: dict[tuple[str, str], dict[tuple[str, str | None], Deletes]] = {}

    def apply(self, operations: Sequence[Operation]) -> list[Applied | Exception]:
        operated = ready("test", operations)
        keys, ids = concerned(operated)
        window = Window("test", {k: self.entry(k) for k in EVERY if k in keys or self.of(k, ids)})
        results = [window.apply(operation) for operation in operated]
        for said in window.deletes:
            of_id = self.deletes.setdefault((said.tenant, said.id), {})
            who = said.origin.topic, said.collection
            of_id[who] = of_id.get(who, Deletes()) | Deletes.of(said.version)
        for changed, change in window.changes.items():
            self.write(changed, change)
        return results

    def of(self, key: DocumentKey, ids: set[tuple[str, str]]) -> bool:
        return key in self.rows and (key.tenant, key.id) in ids

    def entry(self, key: DocumentKey) -> LedgerEntry:
        deletes = of_document(
            {
                whose: [(topic, where, said) for (topic, where), said in found.items()]
                for whose, found in self.deletes.items()
            },
            key,
        )
        row = self.rows.get(key)
        if row is None:
            return LedgerEntry(editions=Editions(deletes=deletes))
        known = row.entry
        return LedgerEntry(
            there=True,
            version=known.version,
            content_hash=known.content_hash,
            parts=set(row.chunks),
            deleted=known.deleted,
            editions=Editions.loads(row.editions, deletes),
        )

    def write(self, key: DocumentKey, change: Change) -> None:
        entry = change.entry
        dumped = entry.editions.dumps()
        if key not in self.rows:
            assert change.head is not None
            self.rows[key] = Row(entry, dumped, change.head)
        row = self.rows[key]
        row.entry, row.editions, row.written = entry, dumped, change.head or row.written
        if change.moved is not None:
            row.written.origin, row.written.batch_id = change.moved
        gone = set(row.chunks) if change.cleared else change.removed
        for ordinal in gone:
            row.chunks.pop(ordinal, None)
        for ordinal, (prepared, place) in change.chunks.items():
            assert ordinal not in row.chunks, "a chunk that comes was not removed before"
            row.chunks[ordinal] = prepared.put.chunks[place], prepared.put.model
        assert set(row.chunks) == entry.parts

    def head(self, key: DocumentKey) -> Head | None:
        if key not in self.rows:
            return None
        row, entry = self.rows[key], self.entry(key)
        assert entry.version is not None
        return Head(
            *(key, entry.version, row.written.version, entry.content_hash, len(row.chunks)),
            *(entry.deleted, row.written.origin, row.written.batch_id),
            editions=entry.editions,
        )


@settings(max_examples=300, deadline=None)
@given(st.lists(calls, max_size=6))
def test_a_window_ends_as_its_operations_one_by_one(windows: list[list[Operation]]) -> None:
    database, model = Database(), Memory()
    for operations in windows:
        results = database.apply(operations)
        expected = [model.apply_one(operation) for operation in operations]
        assert list(map(told, results)) == list(map(told, expected))
        for result in results:
            event(str(told(result)))
        for each in EVERY:
            if each in model.entries:
                assert database.head(each) == model.head(each)
            else:
                assert each not in database.rows
        stored = sorted(
            (each, chunk.ordinal, chunk.text, made)
            for each, row in database.rows.items()
            for chunk, made in row.chunks.values()
        )
        assert stored == chunks(model)
