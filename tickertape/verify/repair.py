"""Mending what was found: copies from the ledger, deletes of what it does not know, and records
that are sent once more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from tickertape import headers as h
from tickertape import topics
from tickertape.delivery import copies
from tickertape.documents import Applied, Delete, DocumentKey, Head
from tickertape.errors import TransientError
from tickertape.kafka.recall import Recall
from tickertape.record import Outgoing, Record
from tickertape.stores.base import Store
from tickertape.stores.copying import bring
from tickertape.verify.findings import Finding
from tickertape.verify.stores import judge
from tickertape.verify.topics import Lost
from tickertape.versions import Version

COPIED, DELETED, SENT = "copied", "deleted", "sent again"
MENDED = (COPIED, DELETED)
FORGOTTEN = "not sent again: deletes of its time are forgotten, so it may have been deleted since"

Send = Callable[[Sequence[Outgoing]], Awaitable[list[Exception | None]]]


@dataclass(slots=True)
class Repair:
    """Mends. ``deletes``: what the ledger does not know of is deleted. ``recall`` and ``send``: the
    ledger's own documents are sent again; ``bases`` are the topics whose records may be."""

    stores: Sequence[Store]
    deletes: bool = False
    recall: Recall | None = None
    send: Send | None = None
    bases: frozenset[str] = frozenset()

    async def mend(self, findings: Sequence[Finding]) -> list[str]:
        """Return what became of each: one of `MENDED`, `SENT`, or why it is as it was.

        Raises what the stores do.
        """
        first = self.stores[0]
        became = dict.fromkeys(range(len(findings)), "nothing can be done here: fill it anew")
        of_store: dict[str, list[int]] = defaultdict(list)
        for index, finding in enumerate(findings):
            if finding.key is None:
                continue
            if finding.store == first.name:
                became[index] = await self._send_again(finding.key)
            elif not finding.known:
                became[index] = await self._delete(finding)
            else:
                of_store[finding.store].append(index)
        for name, indexes in of_store.items():
            (store,) = [each for each in self.stores if each.name == name]
            keys = [key for index in indexes if (key := findings[index].key) is not None]
            told = await self._copy(store, keys)
            became |= {index: told[key] for index, key in zip(indexes, keys, strict=True)}
        return [became[index] for index in range(len(findings))]

    async def resend(self, lost: Sequence[Lost]) -> list[str]:
        """Send records again, under the versions that they had."""
        if self.send is None:
            return ["no broker"] * len(lost)
        sent = iter(await self.send([one.again for one in lost if one.again is not None]))
        told = []
        for one in lost:
            error = FORGOTTEN if one.again is None else next(sent)
            told.append(SENT if error is None else str(error))
        return told

    async def _copy(self, store: Store, keys: Sequence[DocumentKey]) -> dict[DocumentKey, str]:
        first = self.stores[0]
        brought = await bring(first, store, keys, anew=True)
        theirs, ours = await first.heads(keys), await store.heads(keys)
        told = {}
        for key in keys:
            head = theirs.get(key)
            still = judge(store.name, head, ours.get(key)) if head is not None else None
            said = brought.refused.get(key) or (still.detail if still is not None else None)
            told[key] = COPIED if said is None else str(said)
        return told

    async def _delete(self, finding: Finding) -> str:
        """Delete it just after all that is known of it: nothing that comes later is kept out."""
        if not self.deletes:
            return "kept: --delete-orphaned deletes it"
        (store,) = [each for each in self.stores if each.name == finding.store]
        assert finding.key is not None
        head = (await store.heads([finding.key])).get(finding.key)
        if head is None or head.deleted:
            return DELETED
        key, after = finding.key, _after(head)
        delete = Delete(key.id, key.collection, after, after.stamp.place, tenant=key.tenant)
        (result,) = await store.apply([delete])
        return DELETED if result is Applied.APPLIED else str(result)

    async def _send_again(self, key: DocumentKey) -> str:
        """Let its own record be computed again."""
        head = (await self.stores[0].heads([key])).get(key)
        if head is None or self.recall is None or self.send is None:
            return "it cannot be sent again from here"
        stamps = {one.version.stamp for one in head.editions.shown}
        found = await self.recall.of(stamps)
        bases = {topics.rekeyed(base): base for base in self.bases} | {b: b for b in self.bases}
        outputs = []
        for stamp, message in found.items():
            if (base := bases.get(stamp.topic)) is None:
                continue
            record = Record.of(message, trusted=stamp.topic != base, clock_ms=stamp.ms)
            record = replace(record, headers=[*record.headers, (h.FORCE, b"1")])
            outputs.append(copies.rekeyed(record, base, key.id))
        if len(outputs) < len(stamps) or not stamps:
            return "its record is in Kafka no more: send the document again"
        for error in await self.send(outputs):
            if error is not None:
                raise TransientError(f"{outputs[0].topic}: {error}")
        return SENT


def _after(head: Head) -> Version:
    stamp = max([head.version.stamp, *(one.version.stamp for one in head.editions.shown)])
    return Version((), replace(stamp, offset=stamp.offset + 1))
