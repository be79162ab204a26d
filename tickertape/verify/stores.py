"""The ledger against each other store: heads of all, and chunks, page by page.

Workers may go on meanwhile: what differs is looked at again, a moment later, before it is told.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from tickertape.documents import DocumentKey, Head, StoredChunk, StoredDocument
from tickertape.stores.base import Store
from tickertape.stores.copying import holds
from tickertape.verify.chunks import inside, unlike
from tickertape.verify.findings import Finding, Kind

PAGE = 256  # documents, with their chunks read a few at a time
READS = 8
AGAIN_SECONDS = 1.0
AGAIN = 3  # times that what differs is looked at


@dataclass(slots=True)
class Mark:
    """Where a walk stands: through which store (the first one's own comes first), and in its own
    words where; ``chunks`` of the heads so far, and how many the store said there were."""

    store: int = 0
    after: str | None = ""
    chunks: int = 0
    counted: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A page: what was found, and of which store's documents how many were looked at."""

    store: str
    looked: int
    findings: list[Finding]


@dataclass(slots=True)
class Walk:
    """A comparison of stores; the first is the ledger. ``share`` of the documents is looked at;
    ``samples`` gets some chunks of the ledger, to be embedded again."""

    stores: Sequence[Store]
    share: float = 1.0
    mark: Mark = field(default_factory=Mark)
    model: str | None = None  # whose chunks are sampled
    samples_max: int = 0
    samples: list[tuple[DocumentKey, StoredChunk]] = field(default_factory=list)
    again_seconds: float = AGAIN_SECONDS
    _dimensions: dict[str, int] = field(default_factory=dict)
    _seen: int = 0

    async def steps(self) -> AsyncIterator[Step]:
        """Go through every store from where the mark stands, which moves with each step.

        Raises what the stores do.
        """
        while self.mark.store < len(self.stores):
            store = self.stores[self.mark.store]
            if self.mark.after == "":
                self.mark.counted = (await store.count()).chunks
            while self.mark.after is not None:
                heads, after = await store.scan(self.mark.after, PAGE)
                self.mark.chunks += sum(head.chunk_count for head in heads if not head.deleted)
                chosen = [head for head in heads if self.is_chosen(head.key)]
                look = self._of_ledger if self.mark.store == 0 else self._of_other
                findings = await look(store, chosen)
                self.mark.after = after
                yield Step(store.name, len(chosen), findings)
            yield Step(store.name, 0, await self._count(store))
            self.mark = Mark(self.mark.store + 1)

    def is_chosen(self, key: DocumentKey) -> bool:
        """The same documents in every store."""
        if self.share >= 1.0:
            return True
        name = repr((key.tenant, key.collection, key.id)).encode("utf-8", "backslashreplace")
        digest = hashlib.blake2b(name, digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2**64

    async def _count(self, store: Store) -> list[Finding]:
        """Chunks that belong to no head, where nothing was written meanwhile."""
        counted, mark = (await store.count()).chunks, self.mark
        if counted != mark.counted or counted <= mark.chunks:
            return []
        detail = f"{counted - mark.chunks} chunks are of no document"
        return [Finding(Kind.DOUBLED, store.name, None, detail)]

    async def _of_ledger(self, first: Store, heads: Sequence[Head]) -> list[Finding]:
        """What is wrong in the first store, and in others of what it has."""
        found: list[Finding] = []
        for store in self.stores[1:]:
            found += await self._compare(first, store, heads)
        wrong = {(each.store, each.key) for each in found}
        live = [head.key for head in heads if not head.deleted]
        gate = asyncio.Semaphore(READS)

        async def read(key: DocumentKey) -> list[Finding]:
            async with gate:
                return await self._document(key, wrong)

        for each in await asyncio.gather(*map(read, live)):
            found += each
        return found

    async def _of_other(self, store: Store, heads: Sequence[Head]) -> list[Finding]:
        """What it has that the ledger does not know of."""
        first = self.stores[0]
        todo = [head for head in heads if not head.deleted]
        for turn in range(AGAIN):
            known = await first.heads([head.key for head in todo])
            todo = [head for head in todo if head.key not in known]
            if not todo or turn == AGAIN - 1:
                break
            await asyncio.sleep(self.again_seconds)
            now = await store.heads([head.key for head in todo])
            todo = [head for key in now if not (head := now[key]).deleted]
        detail = "the ledger does not know of it"
        return [Finding(Kind.ORPHANED, store.name, head.key, detail, known=False) for head in todo]

    async def _compare(self, first: Store, store: Store, heads: Sequence[Head]) -> list[Finding]:
        todo = list(heads)
        found: list[Finding] = []
        for turn in range(AGAIN):
            ours = await store.heads([head.key for head in todo])
            told = [(head, judge(store.name, head, ours.get(head.key))) for head in todo]
            found = [each for _, each in told if each is not None]
            if not found or turn == AGAIN - 1:
                break
            await asyncio.sleep(self.again_seconds)
            differ = [head.key for head, each in told if each is not None]
            todo = list((await first.heads(differ)).values())
        return found

    async def _document(
        self, key: DocumentKey, wrong: set[tuple[str, DocumentKey | None]]
    ) -> list[Finding]:
        """Look into one document, in every store that should hold it."""
        found: list[Finding] = []
        for turn in range(AGAIN):
            found = []
            ledger: StoredDocument | None = None
            for place, store in enumerate(self.stores):
                stored = await _read(store, key)
                if stored is None or stored.head.deleted or (store.name, key) in wrong:
                    continue
                mine = list(inside(store.name, stored, self._dimensions))
                if place == 0:
                    ledger = stored
                elif ledger is not None and not mine and _same(ledger.head, stored.head):
                    mine = list(unlike(store.name, ledger, stored))
                found += mine
            if not found:
                if ledger is not None and turn == 0:
                    self._sample(ledger)
                break
            if turn < AGAIN - 1:
                await asyncio.sleep(self.again_seconds)
        return found

    def _sample(self, stored: StoredDocument) -> None:
        """Keep some chunks, each with the same chance."""
        if self.samples_max == 0 or stored.model != self.model:
            return
        for chunk in stored.chunks:
            self._seen += 1
            place = len(self.samples)
            if place >= self.samples_max:
                place = random.randrange(self._seen)
                if place >= self.samples_max:
                    continue
                self.samples[place] = stored.head.key, chunk
            else:
                self.samples.append((stored.head.key, chunk))


def judge(store: str, head: Head, own: Head | None) -> Finding | None:
    """Compare the ledger's head with a store's own. That a store has forgotten a delete, or knows
    of another, is no fault: it is told what to show by the ledger."""
    there = own is not None and not own.deleted
    if head.deleted and not there:
        return None
    if head.deleted:
        return Finding(Kind.ORPHANED, store, head.key, "the ledger has deleted it")
    if not there or own is None:
        return Finding(Kind.MISSING, store, head.key, f"not there; the ledger has {_said(head)}")
    if holds(own, head):
        return None
    return Finding(Kind.STALE, store, head.key, f"{_said(own)}; the ledger has {_said(head)}")


def _said(head: Head) -> str:
    return f"version {head.version.label} ({head.chunk_count} chunks)"


def _same(head: Head, own: Head) -> bool:
    return (head.content_version, head.content_hash) == (own.content_version, own.content_hash)


async def _read(store: Store, key: DocumentKey) -> StoredDocument | None:
    found = await store.document(key.id, key.collection, key.tenant)
    return found[0] if found else None
