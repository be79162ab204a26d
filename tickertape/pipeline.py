"""Documents in, one result per document out. No Kafka in here.

The store is the ledger: heads are read for the whole window first, and what is stored already
is not computed again. What must be computed is chunked, embedded together, and written in one
call. The verdict is per document, so a bad one never fails its neighbours.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tickertape import chunking, metrics
from tickertape.documents import (
    DEFAULT_TENANT,
    Applied,
    Delete,
    Document,
    DocumentKey,
    Head,
    Operation,
    Pass,
    Put,
    StoredChunk,
    Touch,
    Vector,
    chunk_id,
    content_hash,
)
from tickertape.editions import Edition
from tickertape.embed.runner import Runner
from tickertape.stores.base import Store
from tickertape.text import Reading, comparable
from tickertape.versions import Origin, Version


class Verdict(enum.IntEnum):
    """What has to be done for a document."""

    SUPERSEDED = 0  # something newer is shown
    REPEAT = 1  # its batch has stored the same content already
    UNCHANGED = 2  # the same content is stored, from an earlier event
    REDELIVERED = 3  # this very event is stored; only what followed is to be confirmed again
    WRITE = 4


@dataclass(frozen=True, slots=True)
class Embedded:
    """A document whose vector was made elsewhere. ``model`` is the name its maker gave.

    Of a long text it is one chunk, ``ordinal`` of ``count``: it joins those that are stored.
    """

    document: Document
    vector: Vector
    model: str
    ordinal: int = 0
    count: int = 1

    @property
    def edition(self) -> Edition:
        """What the record says the document is."""
        return Edition(self.document.version, self.ordinal, self.count, self.model)


@dataclass(frozen=True, slots=True)
class Removal:
    """Delete an id: of one collection, or (None) of all that its topic ever writes it to."""

    id: str
    version: Version
    origin: Origin
    collection: str | None = None
    batch_id: str | None = None
    tenant: str = DEFAULT_TENANT


Item = Document | Embedded | Removal


def id_of(item: Item) -> str:
    """Return the document id of an item."""
    return _whose(item)[0]


def _whose(item: Item) -> tuple[str, str]:
    """Id and tenant of an item."""
    if isinstance(item, Removal):
        return item.id, item.tenant
    key = (item.document if isinstance(item, Embedded) else item).key
    return key.id, key.tenant


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a document. ``chunks`` are there after WRITE and REDELIVERED.

    ``uncovered`` are records that are shown now and whose texts were not kept: they are to be read
    again.
    """

    verdict: Verdict
    chunks: Sequence[StoredChunk] = ()
    content_hash: str = ""
    uncovered: Sequence[tuple[DocumentKey, Version]] = ()


class Pipeline:
    """Chunk, embed, store."""

    def __init__(
        self, store: Store, runner: Runner, *, chunk_tokens: int, overlap_tokens: int
    ) -> None:
        self._store = store
        self._runner = runner
        embedder = runner.embedder
        self.model = embedder.identity
        self._limit = min(chunk_tokens, embedder.max_tokens) - embedder.special_tokens
        self._overlap = min(overlap_tokens, self._limit // 2)
        self._chunking = f"{self._limit}/{self._overlap}"

    async def run(self, items: Sequence[Item], share: Hashable = None) -> list[Result | Exception]:
        """Bring the store to the items' state; one result each, in order. ``share`` names whose
        part of the model's time they take (`Runner.embed`).

        Raises what concerns all of them: `OutageError` and `TransientError` of the store.
        """
        documents = {
            index: item.document if isinstance(item, Embedded) else item
            for index, item in enumerate(items)
            if not isinstance(item, Removal)
        }
        hashes = {
            index: self._hash(items[index], document) for index, document in documents.items()
        }
        keys = list({document.key for document in documents.values()})
        heads = await self._store.heads(keys)
        editions = {
            index: _edition(item)
            for index, item in enumerate(items)
            if not isinstance(item, Removal)
        }
        verdicts = {
            index: _judge(document, editions[index], hashes[index], heads.get(document.key))
            for index, document in documents.items()
        }
        writes = [index for index, verdict in verdicts.items() if verdict is Verdict.WRITE]
        chunks = await self._chunks([items[index] for index in writes], share)
        made = dict(zip(writes, chunks, strict=True))
        # Their topic had deleted the id, and writes the document for the first time: it holds now.
        deleters = {
            index
            for index, document in documents.items()
            if (head := heads.get(document.key)) is not None
            and head.editions.waits_for(document.origin.topic)
        }
        operations: list[tuple[int, Operation]] = []
        for index, item in enumerate(items):
            operation: Operation | None
            if isinstance(item, Removal):
                operation = Delete(
                    *(item.id, item.collection, item.version, item.origin, item.batch_id),
                    tenant=item.tenant,
                )
            else:
                operation = self._operation(
                    item,
                    documents[index],
                    editions[index],
                    hashes[index],
                    verdicts[index],
                    made.get(index),
                )
            if operation is not None:
                operations.append((index, operation))
        failed: dict[int, Exception] = {}
        late: set[int] = set()
        uncovered: dict[int, Sequence[tuple[DocumentKey, Version]]] = {}
        for index, result in (await self._apply(operations)).items():
            if isinstance(result, Exception):
                failed[index] = result
            elif result is not Applied.APPLIED:
                late.add(index)
            if result is Applied.UNCOVERED or index in deleters:
                uncovered[index] = sorted(await self._store.missing(*_whose(items[index])))
        results: list[Result | Exception] = []
        for index, item in enumerate(items):
            again = uncovered.get(index, ())
            if index in failed:
                results.append(failed[index])
            elif isinstance(item, Removal):
                late_too = index in late and not again
                results.append(
                    Result(Verdict.SUPERSEDED if late_too else Verdict.WRITE, (), "", again)
                )
            elif index in late:
                # Another worker stored a newer version meanwhile: nothing of this one goes out.
                results.append(Result(Verdict.SUPERSEDED, (), hashes[index], again))
            else:
                verdict = verdicts[index]
                stored: Sequence[StoredChunk] | None = made.get(index, ())
                if verdict is Verdict.REDELIVERED:
                    stored = await self._stored(documents[index])
                if stored is None:
                    verdict, stored = Verdict.SUPERSEDED, ()
                results.append(Result(verdict, stored, hashes[index], again))
        return results

    async def shown_instead(self, documents: Sequence[Document]) -> dict[DocumentKey, Version]:
        """Return what wrote the texts that are shown, of those documents that show another's.

        What is shown since this very event, though another event wrote it, is no other's.

        Raises what `run` does.
        """
        if not documents:
            return {}
        heads = await self._store.heads([document.key for document in documents])
        found = {}
        for document in documents:
            head, place = heads.get(document.key), document.version.stamp.place
            if head is None or head.deleted:
                continue
            if place not in (head.content_version.stamp.place, head.version.stamp.place):
                found[document.key] = head.content_version
        return found

    def _hash(self, item: Item, document: Document) -> str:
        if isinstance(item, Embedded):
            chunk = f"{item.ordinal}/{item.count}/{item.vector.tobytes().hex()}"
            return content_hash(document, model=item.model, chunking=chunk)
        return content_hash(document, model=self.model, chunking=self._chunking)

    async def _chunks(self, items: Sequence[Item], share: Hashable) -> list[list[StoredChunk]]:
        """Chunk and embed; vectors made elsewhere are taken as they are."""
        documents = [item for item in items if isinstance(item, Document)]
        # The model reads the comparable text; passages are cut out of the one that came.
        readings = await asyncio.to_thread(
            lambda: [comparable(document.text) for document in documents]
        )
        tokens = await self._runner.tokenize([reading.text for reading in readings])
        pieces = await asyncio.to_thread(
            lambda: [
                _placed(chunking.chunk(reading.text, found, self._limit, self._overlap), reading)
                for reading, found in zip(readings, tokens, strict=True)
            ]
        )
        sequences = [piece.ids for found in pieces for piece in found]
        embedded = await self._runner.embed(sequences, share=share) if sequences else ()
        vectors = iter(embedded)
        own = iter(pieces)
        chunks: list[list[StoredChunk]] = []
        for item in items:
            if isinstance(item, Document):
                chunks.append(
                    [
                        StoredChunk(
                            chunk_id(item.key, ordinal, self.model),
                            ordinal,
                            item.text[piece.start : piece.end],
                            piece.start,
                            piece.end,
                            next(vectors),
                        )
                        for ordinal, piece in enumerate(next(own))
                    ]
                )
            elif isinstance(item, Embedded):
                text, id = item.document.text, chunk_id(item.document.key, item.ordinal, item.model)
                chunks.append([StoredChunk(id, item.ordinal, text, 0, len(text), item.vector)])
        return chunks

    def _operation(
        self,
        item: Document | Embedded,
        document: Document,
        edition: Edition,
        hash: str,
        verdict: Verdict,
        chunks: Sequence[StoredChunk] | None,
    ) -> Operation | None:
        key, origin = document.key, document.origin
        match verdict:
            case Verdict.WRITE:
                model = item.model if isinstance(item, Embedded) else self.model
                return Put(document, edition, hash, model, chunks or ())
            case Verdict.UNCHANGED:
                return Touch(key, edition, origin, hash, document.batch_id)
            case Verdict.REPEAT:
                return Touch(key, edition, origin, hash, moves=False)
            case Verdict.SUPERSEDED:
                return Pass(key, edition, origin)
            case Verdict.REDELIVERED:
                return None

    async def _apply(
        self, operations: list[tuple[int, Operation]]
    ) -> dict[int, Applied | Exception]:
        """Return what became of each item, by its index."""
        if not operations:
            return {}
        started = time.perf_counter()
        results = await self._store.apply([operation for _, operation in operations])
        metrics.store_write_seconds.labels(self._store.name).observe(time.perf_counter() - started)
        return {index: result for (index, _), result in zip(operations, results, strict=True)}

    async def _stored(self, document: Document) -> Sequence[StoredChunk] | None:
        """What this event wrote; None where another worker has put newer content in its place
        since the heads were read: that is not to be told as this event's.
        """
        key = document.key
        for stored in await self._store.document(key.id, key.collection, key.tenant):
            if stored.head.content_version.stamp.place == document.version.stamp.place:
                return stored.chunks
        return None


def _placed(chunks: Sequence[chunking.Chunk], reading: Reading) -> Sequence[chunking.Chunk]:
    """The chunks of a reading, by their places in the text that was read."""
    spans = [(chunk.start, chunk.end) for chunk in chunks]
    if (places := reading.spans(spans)) is spans:
        return chunks
    return [
        chunking.Chunk(start, end, chunk.ids)
        for (start, end), chunk in zip(places, chunks, strict=True)
    ]


def _edition(item: Document | Embedded) -> Edition:
    return item.edition if isinstance(item, Embedded) else Edition(item.version)


def _judge(document: Document, edition: Edition, hash: str, head: Head | None) -> Verdict:
    """Compare an event with what a store knows of its document."""
    if head is None:
        return Verdict.WRITE
    same = head.content_hash == hash and not head.deleted
    # What is stored is this event's. Not by its version: a time of the future is another when it is
    # read again.
    wrote = same and head.content_version.stamp.place == document.version.stamp.place
    if not head.editions.would_show(edition, document.origin.topic):
        # A newer event, from another partition, found it unchanged, and may have done so before
        # what follows from the write was confirmed.
        return Verdict.REDELIVERED if wrote else Verdict.SUPERSEDED
    if (wrote and not document.force) or (head.version == document.version and same):
        return Verdict.REDELIVERED if wrote else Verdict.UNCHANGED
    if not same or document.force:
        return Verdict.WRITE
    repeated = document.batch_id is not None and document.batch_id == head.batch_id
    return Verdict.REPEAT if repeated and head.origin != document.origin else Verdict.UNCHANGED
