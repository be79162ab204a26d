"""Requests to ingest a source: its rows become pieces on embedding-requests, page by page.

A page is sent in one transaction with the bookmark behind it (`tickertape.runs`). So a run that is
broken off, by a crash or a rebalance, goes on where it was, by whoever has its request then.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from agents.items import routes_of
from models import DataIngestion, EmbeddingRequest
from tickertape import flows, metrics, sources
from tickertape import headers as h
from tickertape.decode import Limits
from tickertape.delivery import policy, progress
from tickertape.delivery.outcome import Done, Failed, Outcome, Work
from tickertape.delivery.progress import Delta
from tickertape.delivery.spec import Spec
from tickertape.documents import NAMESPACE
from tickertape.errors import (
    OutageError,
    PermanentError,
    SettingsError,
    StartError,
    TransientError,
    classify,
)
from tickertape.kafka.transactions import Transactions
from tickertape.record import Outgoing, Record
from tickertape.runs import Known, Run, Runs
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.sources.base import Page, Row, Source, Unread
from tickertape.topics import RECORD_BYTES_MAX

REASON_BYTES_MAX = 2000
PIECE_BYTES_MAX = RECORD_BYTES_MAX - 2**12  # less its key, and what Kafka has around it
AT_ONCE = 4  # ingests of one worker
AHEAD_SECONDS = 0.2
AGAIN_SECONDS = 1.0
FREELY = 10  # so many documents are removed whatever share they are

log = structlog.get_logger("tickertape.ingest")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. ``batch_id``: given, or made of where the request first stood."""

    wanted: sources.Wanted
    run: str
    batch_id: str
    full: bool = False
    yes: bool = False  # remove whatever share is gone


def specs(settings: Settings, services: Callable[[], Services]) -> list[Spec[Request]]:
    """Return the flow: ingestion."""
    limits = Limits(settings.text_bytes_max)
    routes = routes_of(flows.INGESTION, settings)

    async def handle(works: Sequence[Work[Request]]) -> list[Outcome]:
        return [
            await ingest(work, settings, services(), routes[work.record.topic].attempts)
            for work in works
        ]

    return [
        Spec(
            name=flows.INGESTION.name,
            routes=routes,
            decode=lambda record: read(record, limits),
            handle=handle,
            batch_of=lambda request: request.batch_id,
            dependencies=(),
            windows=AT_ONCE,
            window_records=1,
            resumes=True,
        )
    ]


def read(record: Record, limits: Limits) -> Request:
    """Decode a request."""
    found = DataIngestion.decode(record, limits)
    run = str(record.origin)
    return Request(
        wanted=sources.Wanted(
            found.source_id,
            found.db_type,
            found.connection_params,
            found.table_or_collection,
            tuple(found.columns_or_fields),
            tuple(found.text_fields),
        ),
        run=run,
        batch_id=found.batch_id or str(uuid.uuid5(NAMESPACE, run)),
        full=found.metadata.get("full") is True,
        yes=found.metadata.get("yes") is True,
    )


async def ingest(
    work: Work[Request], settings: Settings, services: Services, attempts: int
) -> Outcome:
    """Read the source that is asked for to its end; tell its batch where that will never be."""
    request = work.item
    try:
        source = sources.of_request(settings, request.wanted)
        await source.start()
        try:
            await Ingest(source, request, settings, services).run()
        finally:
            await source.stop()
    except Exception as error:
        failed = _ours(error)
        delays = settings.retry_delays_seconds
        if isinstance(policy.decide(classify(failed), attempts, delays), policy.Dead):
            await _tell(settings, services, Delta(request.batch_id, error=str(failed)))
        return Failed(failed)
    return Done()


def _ours(error: Exception) -> Exception:
    """A source that is configured wrongly is wrong for ever, as far as its request goes."""
    if isinstance(error, SettingsError):
        return PermanentError(str(error))
    return TransientError(str(error)) if isinstance(error, StartError) else error


class Ingest:
    """One run of a source."""

    def __init__(
        self, source: Source, request: Request, settings: Settings, services: Services
    ) -> None:
        self._source = source
        self._request = request
        self._settings = settings
        self._services = services
        self._runs = Runs(settings, source.name, request.run)
        self._total: int | None = None  # as declared
        self._log = log.bind(source=source.name, batch=request.batch_id)

    async def run(self) -> None:
        """Send all that the source has, from where an earlier try of this run was.

        Raises:
            TransientError, PermanentError, OutageError: of the source, or of Kafka.
        """
        name = f"{self._settings.app_id}-ingest-{self._request.run}"
        async with Transactions(self._settings, name) as transactions:
            known = await self._runs.read()
            run = known.run or await self._first(known)
            # A newer full run, which saw all, removed where this one began, and its first pages
            overtaken = known.run is not None and known.begun is None
            if known.run is None:
                await transactions.send(self._runs.begin(run))
                known = replace(known, begun=known.end)  # what came since is of others
            self._services.runtime.breakers["kafka"].succeeded()  # nobody waits for all of it
            self._log.info("ingest", run=run.id, full=run.full, sent=run.sent)
            if not run.ended:
                run = await self._send(transactions, run, known)
            removed = 0
            if overtaken:  # what it did not see is not known, nor needed: the newer one removed it
                await transactions.send(self._runs.end(replace(run, swept=True)))
            elif not run.swept:
                removed = await self._sweep(transactions, run, known)
            await self._declare(run.base + run.sent)
        self._log.info("ingested", documents=run.sent, removed=removed)

    async def _first(self, known: Known) -> Run:
        full = self._request.full or not self._source.follows or known.since is None
        state = self._services.batches.get(self._request.batch_id)
        base = (state or {}).get("total_documents") or 0
        watched = self._source.config.watch_seconds is not None
        fingerprint = await self._source.fingerprint() if watched else None
        return Run(
            *(self._request.run, self._request.batch_id, full), base=base, fingerprint=fingerprint
        )

    async def _send(self, transactions: Transactions, run: Run, known: Known) -> Run:
        """Send the pages that are left. A source that breaks off is begun again behind the last
        page, as long as pages come."""
        since = None if run.full else known.since
        count = await self._source.count(since)
        while True:
            before = run.sent
            async with aclosing(self._source.pages(run.bookmark, since)) as pages:
                run, failed = await self._send_pages(transactions, run, pages, count)
            if failed is None:
                break
            if not isinstance(failed, TransientError) or run.sent == before:
                raise failed
            self._log.warning("ingest_broken_off", sent=run.sent, error=str(failed))
            await asyncio.sleep(AGAIN_SECONDS)
        if not run.ended:  # nothing there, or nothing new
            run = replace(run, ended=True, bookmark=run.bookmark or since)
            await transactions.send(self._runs.end(run))
        return run

    async def _send_pages(
        self,
        transactions: Transactions,
        run: Run,
        pages: AsyncIterator[Page],
        count: int | None,
    ) -> tuple[Run, Exception | None]:
        """Send what comes; return how far the run is, and why no more came where that is no end."""
        page, failed = await _next(pages)
        while page is not None:
            # One ahead: what is the last page is known when it is sent, and so is the total.
            following, failed = await _next(pages)
            await self._wait(run)
            last = following is None and failed is None
            run = run.after(page, last=last)
            left = 0 if last else max(1, (count or 0) - run.sent)
            await self._declare(run.base + run.sent + left)
            records = [self._record(row) for row in page.rows]
            records += [self._tombstone(id) for id in page.gone]
            await transactions.send([*records, *self._runs.page(page, run)])
            metrics.ingested.labels(self._source.name).inc(page.count)
            page = following
        return run, failed

    async def _wait(self, run: Run) -> None:
        """Wait while too much of it waits to be embedded."""
        while True:
            state = self._services.batches.get(run.batch_id) or {}
            done = (state.get("processed_documents") or 0) + (state.get("repeats") or 0)
            if run.base + run.sent - done < self._settings.ingest_ahead_max:
                return
            await asyncio.sleep(AHEAD_SECONDS)

    async def _sweep(self, transactions: Transactions, run: Run, known: Known) -> int:
        """Remove what the source has no more, where the run named all that it has; return how many
        documents."""
        if not run.full and not self._source.whole:
            await transactions.send(self._runs.swept(known, run, None))
            return 0
        async with self._runs.stale(known) as stale:
            share = self._source.config.remove_share_max
            if not self._request.yes and stale.count > max(FREELY, share * stale.known):
                raise PermanentError(
                    f"{self._source.name}: {stale.count} of {stale.known} documents are in the"
                    f" source no more; over {share:.0%} (remove_share_max) are removed only by"
                    f" `ingest {self._source.name} --full --yes`"
                )
            portion = 0
            async for ids in stale.portions():
                removals = [self._tombstone(id) for id in ids]
                await transactions.send([*removals, self._runs.gone(ids, portion)])
                portion += 1
            await transactions.send(self._runs.swept(known, run, stale))
            return stale.count

    async def _declare(self, total: int) -> None:
        """Say how many documents the batch has, before the last of them is sent."""
        if total != self._total:
            delta = Delta(self._request.batch_id, total=total, declared=True)
            await _tell(self._settings, self._services, delta)
            self._total = total

    def _record(self, row: Row | Unread) -> Outgoing:
        if isinstance(row, Unread):
            return self._unread(row.id, row.reason)
        if len(row.text) > self._settings.text_bytes_max:  # the rest are judged as any other's
            reason = f"{len(row.text)} characters (TICKERTAPE_TEXT_BYTES_MAX)"
            return self._unread(row.id, reason)
        record = self._piece(row)
        size = len(record.value or b"")
        if size > PIECE_BYTES_MAX:
            return self._unread(row.id, f"{size} bytes are over {PIECE_BYTES_MAX} as a record")
        return record

    def _unread(self, id: str, reason: str) -> Outgoing:
        said = f"{id}: {reason}".encode("utf-8", "replace")
        return self._piece(Row(id, ""), [(h.UNREADABLE, said[:REASON_BYTES_MAX])])

    def _piece(self, row: Row, headers: Sequence[tuple[str, bytes]] = ()) -> Outgoing:
        name = self._source.name
        collection = self._source.config.collection or name
        request = EmbeddingRequest.of_row(row, name, collection, self._request.batch_id)
        topic = self._settings.topic_embedding_requests
        return Outgoing(topic, request.document_id.encode(), request.encode(), headers)

    def _tombstone(self, id: str) -> Outgoing:
        id = sources.document_id(self._source.name, id)
        return Outgoing(self._settings.topic_embedding_requests, id.encode(), None)


async def _next(pages: AsyncIterator[Page]) -> tuple[Page | None, Exception | None]:
    """The next page, None at the end; or why it cannot be read: what came before is sent first."""
    try:
        return await anext(pages, None), None
    except (TransientError, PermanentError, OutageError, OSError) as error:
        return None, error


async def _tell(settings: Settings, services: Services, delta: Delta) -> None:
    record = progress.encode(settings.topic_batch_progress, delta)
    for error in await services.publisher.send([record]):
        if error is not None:
            raise error
