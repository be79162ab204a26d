"""One store brought to what another knows, document by document.

States are copied and not events: whatever came in between, in whatever order copies are made and
however often, the target ends with what the source knows (`Editions.join`). Nothing is deleted
that the source does not say is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tickertape.documents import Applied, Copy, DocumentKey, Head
from tickertape.editions import WHOLE
from tickertape.errors import TransientError
from tickertape.stores.base import Store

READS = 8  # at once; each is a document with its vectors
STEP = 64  # documents in memory
CHUNKS = 2_000  # in memory and in one call of the target; one document may have more
TRIES = 5  # of a document that others change meanwhile


@dataclass(slots=True)
class Brought:
    """What became of documents: how many were written, and what the target will never take."""

    written: int = 0
    refused: dict[DocumentKey, Exception] = field(default_factory=dict)


async def bring(
    source: Store, target: Store, keys: Iterable[DocumentKey], *, anew: bool = False
) -> Brought:
    """Bring what differs of these documents, or (``anew``) all of them with their texts; the
    target's own stays where the source has no head.

    Raises what the stores do: `OutageError`, `TransientError`.
    """
    brought = Brought()
    wanted = list(dict.fromkeys(keys))
    todo: list[tuple[Head, Head | None]]
    if anew:
        todo = [(head, None) for head in (await source.heads(wanted)).values()]
    else:
        todo = await differing(source, target, wanted)
    for step in _steps(todo):
        for _ in range(TRIES):
            step = await _bring(source, target, step, brought)
            if not step:
                break
            step = await differing(source, target, [theirs.key for theirs, _ in step])
        else:
            raise TransientError(
                f"store {target.name}: {step[0][0].key} changes faster than it can be copied",
                dependency=f"store:{target.name}",
            )
    return brought


def _steps(
    todo: Sequence[tuple[Head, Head | None]],
) -> Iterator[list[tuple[Head, Head | None]]]:
    """Part them, so that no call of the target is too large to end in time."""
    step: list[tuple[Head, Head | None]] = []
    chunks = 0
    for pair in todo:
        count = pair[0].chunk_count
        if step and (len(step) == STEP or chunks + count > CHUNKS):
            yield step
            step, chunks = [], 0
        step.append(pair)
        chunks += count
    if step:
        yield step


async def differing(
    source: Store, target: Store, keys: Sequence[DocumentKey]
) -> list[tuple[Head, Head | None]]:
    """Return the heads of those that the target knows less of, with its own."""
    theirs, ours = await asyncio.gather(source.heads(keys), target.heads(keys))
    pairs = [(theirs[key], ours.get(key)) for key in keys if key in theirs]
    return [(head, own) for head, own in pairs if not holds(own, head)]


def holds(own: Head | None, head: Head) -> bool:
    """Whether a store with this head of its own knows and holds all that the other head says."""
    if own is None:
        return False
    if replace(own, updated_at=0.0, editions=head.editions) != replace(head, updated_at=0.0):
        return False
    if own.editions == head.editions:
        return True
    # A delete may be forgotten there and still be known here.
    joined = own.editions.copy()
    joined.join(head.editions)
    return joined == own.editions and own.editions.shown == head.editions.shown


async def _bring(
    source: Store, target: Store, pairs: Sequence[tuple[Head, Head | None]], brought: Brought
) -> list[tuple[Head, Head | None]]:
    """Copy once; return those that were changed meanwhile."""
    gate = asyncio.Semaphore(READS)

    async def read(head: Head, own: Head | None) -> list[Copy]:
        only_deletes = not head.editions.topics
        if only_deletes or (own is not None and _same_text(head, own)):
            return [Copy(head, None)]
        async with gate:
            key = head.key
            found = await source.document(key.id, key.collection, key.tenant)
        return [Copy(each.head, each) for each in found]

    made = await asyncio.gather(*(read(*pair) for pair in pairs))
    owners = [pair for pair, operations in zip(pairs, made, strict=True) for _ in operations]
    results = await target.apply([one for operations in made for one in operations])
    again: dict[DocumentKey, tuple[Head, Head | None]] = {}
    for pair, result in zip(owners, results, strict=True):
        key = pair[0].key
        if isinstance(result, TransientError):
            again[key] = pair
        elif isinstance(result, Exception):
            brought.refused[key] = result
        elif isinstance(result, Applied):
            brought.written += 1
    return list(again.values())


def _same_text(head: Head, own: Head) -> bool:
    """Whether only what the head says of events has moved on."""
    there, here = head.editions.shown, own.editions.shown
    whole = [[one.part for one in shown] == [WHOLE] for shown in (there, here)]
    texts = [(one.content_version, one.content_hash, one.chunk_count) for one in (head, own)]
    return all(whole) and texts[0] == texts[1] and not (head.deleted or own.deleted)
