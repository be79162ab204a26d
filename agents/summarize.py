"""Summary requests to summaries. The ledger answers for what did not change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from models import LlmResult, SummaryRequest
from tickertape import metrics
from tickertape.decode import Limits
from tickertape.delivery import headers as h
from tickertape.delivery.flow import Spec
from tickertape.delivery.outcome import Done, Failed, Outcome, State, Work
from tickertape.delivery.record import Outgoing, Record
from tickertape.delivery.routes import internal
from tickertape.documents import Document, StoredSummary, content_hash
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.stores.base import SummaryLedger
from tickertape.summarize.base import Summary
from tickertape.summarize.base import SummaryRequest as Request

PART = "summary"
OVERHEAD_BYTES = 2**20  # a request holds the document's metadata beside its text

log = structlog.get_logger("tickertape.summaries")


def specs(settings: Settings, services: Callable[[], Services]) -> list[Spec[Document]]:
    """Return the flow that summarises."""
    limits = Limits(settings.text_bytes_max + OVERHEAD_BYTES)

    def decode(record: Record) -> Document:
        return SummaryRequest.decode(record, limits).to_document(record)

    async def handle(works: Sequence[Work[Document]]) -> list[Outcome]:
        return await summarize(works, settings, services())

    llm = settings.llm_url is not None
    return [
        Spec(
            name="summaries",
            routes=internal(
                settings.topic_summary_requests, retries=len(settings.retry_delays_seconds)
            ),
            decode=decode,
            handle=handle,
            part=PART,
            parts_of=lambda _origin: ("store", PART),
            batch_of=lambda document: document.batch_id,
            dependencies=(
                *(["llm"] if llm else []),
                *(f"store:{name}" for name in settings.stores),  # the ledger
            ),
            # An LLM answers one document a call: many small windows keep its queue filled.
            windows=settings.llm_concurrency if llm else 2,
            window_records=1 if llm else 32,
        )
    ]


async def summarize(
    works: Sequence[Work[Document]], settings: Settings, services: Services
) -> list[Outcome]:
    """Summarise what changed; one outcome each."""
    ledger = ledger_of(services)
    keys = [work.item.key for work in works]
    known = await ledger.summaries(keys)
    heads = await services.stores[0].heads(keys)
    name = services.summarizer.name

    async def one(work: Work[Document]) -> tuple[Outcome, StoredSummary | None]:
        document = work.item
        hash = content_hash(document, model=name, chunking=str(settings.summary_sentences))
        stored = known.get(document.key)
        head = heads.get(document.key)
        if any(seen is not None and seen.version > document.version for seen in (stored, head)):
            # A newer version is stored or deleted. Its own request follows, or none: a result of
            # this one would come after that of the newer.
            return Done(), None
        if stored is not None and stored.content_hash == hash and not document.force:
            again = stored.version == document.version
            result = {**stored.result, "timestamp": time.time(), "unchanged": not again}
            output = _output(settings.topic_llm_results, work, result)
            state = State.DONE if again else State.UNCHANGED
            moved = StoredSummary(document.key, document.version, hash, stored.result)
            return Done([output], state), None if again else moved
        started = time.perf_counter()
        try:
            summary = await services.summarizer.summarize(
                Request(document.key.id, document.text, document.metadata)
            )
        except Exception as error:
            return Failed(error), None
        seconds = time.perf_counter() - started
        metrics.summary_seconds.labels(summary.model_name).observe(seconds)
        if summary.unsupported:
            log.warning("unsupported_numbers", id=document.key.id, numbers=summary.unsupported)
        result = _result(document, summary, seconds)
        output = _output(settings.topic_llm_results, work, result)
        return Done([output]), StoredSummary(document.key, document.version, hash, result)

    pairs = await asyncio.gather(*(one(work) for work in works))
    made = [summary for _, summary in pairs if summary is not None]
    await ledger.save_summaries(made)
    # Meanwhile a newer one may have been saved, or the document deleted: the ledger has kept that.
    stored = await ledger.summaries([summary.key for summary in made])
    late = {s.key for s in made if s.key not in stored or stored[s.key].version > s.version}
    return [
        Done() if work.item.key in late else outcome
        for work, (outcome, _) in zip(works, pairs, strict=True)
    ]


def ledger_of(services: Services) -> SummaryLedger:
    """Return the first store that remembers summaries."""
    for store in services.stores:
        if isinstance(store, SummaryLedger):
            return store
    raise LookupError("no configured store remembers summaries")


def _result(document: Document, summary: Summary, seconds: float) -> dict[str, Any]:
    return LlmResult(
        id=document.key.id,
        summary=summary.text,
        model_name=summary.model_name,
        status="unverified" if summary.unsupported else "completed",
        processing_time=round(seconds, 6),
        prompt_tokens=summary.prompt_tokens,
        completion_tokens=summary.completion_tokens,
        total_tokens=summary.total_tokens,
        error=None,
        timestamp=time.time(),
        unchanged=False,
    ).asdict()


def _output(topic: str, work: Work[Document], result: dict[str, Any]) -> Outgoing:
    key = work.item.key.id.encode()
    return Outgoing(topic, key, LlmResult(**result).encode(), h.trace(work.record.headers))
