"""Batches: fold deltas into the table, answer declarations, close what is idle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any, Protocol

import structlog

from agents.items import routes_of
from models import BatchStatus
from tables.batches import Unfoldable
from tickertape.decode import Limits, parse
from tickertape.delivery import progress
from tickertape.delivery.outcome import Done, Failed, Outcome, Work
from tickertape.delivery.progress import Delta, Forget
from tickertape.delivery.spec import Spec
from tickertape.errors import InvalidRecord, OutageError
from tickertape.flows import DECLARATIONS, PROGRESS
from tickertape.record import Outgoing, Record
from tickertape.services import Services
from tickertape.settings import Settings

REPEATS_SECONDS = 30.0
CLOSE_EVERY_SECONDS = 5.0
TABLE = "table:batches"

log = structlog.get_logger("tickertape.progress")

Apply = Callable[[Sequence[Delta]], list[Outgoing]]
Partition = Callable[[str, int], AbstractContextManager[None]]


def specs(settings: Settings, apply: Apply, partition: Partition) -> list[Spec[Any]]:
    """Return the flows: progress (the fold) and declarations.

    ``apply`` folds deltas into the table; ``partition`` is `worker.table_partition`.
    """

    async def fold(works: Sequence[Work[Delta]]) -> list[Outcome]:
        """One window at a time, in offset order; each batch is announced once a window."""
        outcomes: list[Outcome] = []
        try:
            for number, group in groupby(works, key=lambda work: work.record.partition):
                with partition(settings.topic_batch_progress, number):
                    outcomes += folded(list(group))
        except Exception as error:
            # A retry topic would bring the delta to a worker that does not own its batch.
            log.exception("fold")
            raise OutageError(f"the table: {error!r}", dependency=TABLE) from error
        return outcomes

    def folded(works: Sequence[Work[Delta]]) -> list[Outcome]:
        """Fold; a delta that the fold cannot take stands alone at the end, and is dead."""
        try:
            outputs = apply([work.item for work in works])
        except Unfoldable as error:
            if len(works) == 1:
                return [Failed(InvalidRecord("batch-progress", f"a delta that adds up ({error})"))]
            middle = len(works) // 2
            return [*folded(works[:middle]), *folded(works[middle:])]
        return [*([Done()] * (len(works) - 1)), Done(outputs)]

    async def declare(works: Sequence[Work[Delta | None]]) -> list[Outcome]:
        topic = settings.topic_batch_progress
        return [
            Done([progress.encode(topic, work.item)] if work.item is not None else [])
            for work in works
        ]

    return [
        Spec(
            name=PROGRESS.name,
            routes=routes_of(PROGRESS, settings),
            decode=read_delta,
            handle=fold,
            dependencies=(TABLE,),
            keyed=False,
            windows=1,
            window_records=1000,
        ),
        Spec(
            name=DECLARATIONS.name,
            routes=routes_of(DECLARATIONS, settings),
            decode=read_declaration,
            handle=declare,
            passes=lambda record: record.own,
            keyed=False,
            windows=1,
        ),
    ]


def read_delta(record: Record) -> Delta:
    """Decode a batch-progress record."""
    try:
        return progress.decode(parse(record.value), record.timestamp_ms, record.offset)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRecord("batch-progress", "a delta", repr(error)) from None


def read_declaration(record: Record) -> Delta | None:
    """Decode a producer's `queued` on batch-status; None for other states."""
    if record.value is None:
        return None
    status = BatchStatus.decode(record, Limits())
    if status.status != "queued":
        return None
    return Delta(status.batch_id, total=status.total_documents, declared=True)


class Idle(Protocol):
    """What closing asks of the reader of batch-status."""

    def idle(self, seconds: float, repeats_seconds: float) -> list[dict[str, Any]]: ...
    def expired(self, hours: float) -> list[dict[str, Any]]: ...
    def surplus(self) -> list[dict[str, Any]]: ...
    def overwritten(self) -> list[str]: ...


async def close_idle(
    settings: Settings,
    services: Callable[[], Services],
    reader: Idle,
    all_read: Callable[[], Awaitable[bool]],
) -> None:
    """Close batches that heard nothing for long, and forget old ones, for ever.

    Any worker may: a close names the last activity it saw, so a late one changes nothing. None is
    closed while a topic has partitions that nobody reads (``all_read``): what is missing may lie
    there.
    """
    while True:
        await asyncio.sleep(CLOSE_EVERY_SECONDS)
        closing = list(closings(settings, reader))
        if closing and await all_read():
            await services().publisher.send(closing)


def closings(settings: Settings, reader: Idle) -> Iterator[Outgoing]:
    """Yield the deltas that close, forget and refresh batches now."""
    topic = settings.topic_batch_progress
    repeats = min(REPEATS_SECONDS, settings.batch_idle_seconds)
    for batch in reader.idle(settings.batch_idle_seconds, repeats):
        yield progress.encode(topic, Delta(batch["batch_id"], close=batch["last"]))
    idle_ms = round(settings.batch_retention_hours * 3_600_000)
    for batch in reader.expired(settings.batch_retention_hours):
        yield progress.encode(
            topic, Delta(batch["batch_id"], forget=Forget(batch["last"], idle_ms))
        )
    for batch in reader.surplus():
        yield progress.encode(topic, Delta(batch["batch_id"], forget=Forget(batch["last"])))
    for batch_id in reader.overwritten():
        yield progress.encode(topic, Delta(batch_id, refresh=True))
