"""Texts, documents and pieces of sources: chunk, embed, store, and tell who waits for it.

Three flows over one pipeline, so that each can be held without the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from agents.items import STATES, batch_of, changed, recalled, routes_of, tombstone, uncovered
from models import Embedding, EmbeddingRequest, FinancialDocument, SummaryRequest, TextMessage
from models.base import Model
from tickertape import flows, metrics, topics
from tickertape import headers as h
from tickertape.decode import Limits
from tickertape.delivery.copies import carried
from tickertape.delivery.outcome import Done, Failed, Outcome, State, Work
from tickertape.delivery.spec import Spec
from tickertape.documents import Document
from tickertape.errors import Undecodable
from tickertape.flows import Flow
from tickertape.pipeline import Item, Removal, Result, id_of
from tickertape.record import Outgoing, Record
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.versions import Version

log = structlog.get_logger("tickertape.embed")


def specs(settings: Settings, services: Callable[[], Services]) -> list[Spec[Item]]:
    """Return the flows: text, documents, requests."""

    def spec(flow: Flow, model: type[Model]) -> Spec[Item]:
        limits = Limits(settings.text_bytes_max)

        async def handle(works: Sequence[Work[Item]]) -> list[Outcome]:
            return await embed(works, settings, services(), flow)

        async def behind(done: Sequence[tuple[Work[Item], Done]]) -> list[Outgoing]:
            return await overtaken(done, settings, services())

        return Spec(
            name=flow.name,
            routes=routes_of(flow, settings),
            decode=lambda record: read(record, model, limits),
            handle=handle,
            stage=flow.stage,
            stages_of=lambda _origin: flow.stages,
            batch_of=batch_of,
            id_of=id_of,
            overtaken=behind,
            dependencies=tuple(f"store:{name}" for name in settings.stores[:1]),
            share_keys=True,
            window_records=settings.window_records,
        )

    return [
        spec(flows.TEXT, TextMessage),
        spec(flows.REQUESTS, EmbeddingRequest),
        spec(flows.DOCUMENTS, FinancialDocument),
    ]


def read(record: Record, model: type[Model], limits: Limits) -> Document | Removal:
    """Decode a record; a null value deletes its key."""
    if (removal := tombstone(record)) is not None:
        return removal
    if (reason := record.header(h.UNREADABLE)) is not None:
        raise Undecodable(reason)
    document: Document = model.decode(record, limits).to_document(record)
    return document


async def embed(
    works: Sequence[Work[Item]], settings: Settings, services: Services, flow: Flow
) -> list[Outcome]:
    """Bring the first store up to date, and tell the others; one outcome each."""
    # Large documents have a part of the model's time of their own: small ones do not wait for them.
    share = (flow.name, any(work.record.large for work in works))
    results = await services.pipeline.run([work.item for work in works], share)
    again = await uncovered(services.recall, settings, results)
    embedder = services.runner.embedder
    outcomes: list[Outcome] = []
    for work, result in zip(works, results, strict=True):
        if isinstance(result, Exception):
            outcomes.append(Failed(result))
            continue
        outputs = [again[each] for each in result.uncovered if each in again]
        if isinstance(work.item, Document):
            outputs += _embeddings(settings.topic_embeddings, work, result, embedder.name)
            if flows.SUMMARY in flow.stages:
                outputs.append(_request(settings.topic_summary_requests, work, result))
        outputs += changed(settings, work.item)
        outcomes.append(Done(outputs, STATES.get(result.verdict, State.DONE)))
    return outcomes


async def overtaken(
    done: Sequence[tuple[Work[Item], Done]], settings: Settings, services: Services
) -> list[Outgoing]:
    """Return the records of what is shown instead of what was just told: behind an older text,
    `embeddings` must have the newer one once more.

    What came too late is looked at where it may have been told before: by us, or by another worker,
    which ended before it could look.
    """
    told = {
        work.item.key: (work, outcome)
        for work, outcome in done
        if isinstance(work.item, Document)
        and (
            outcome.state is State.DONE
            or (outcome.state is State.SUPERSEDED and (work.tried or work.record.again))
        )
    }
    ours = {flow.topic(settings) for flow in (flows.TEXT, flows.REQUESTS, flows.DOCUMENTS)}
    ours |= {topics.rekeyed(topic) for topic in ours}
    documents = [work.item for work, _ in told.values() if isinstance(work.item, Document)]
    shown = {
        key: version
        for key, version in (await services.pipeline.shown_instead(documents)).items()
        if version.stamp.topic in ours and not _to_come(*told[key], version)
    }
    found = await recalled(services.recall, settings, list(shown.items()))
    for key, version in shown.items():
        if (key, version) not in found and told[key][1].state is State.DONE:
            metrics.not_told_again.inc()
            log.error("not_told_again", id=key.id, error=f"{version.stamp.place} is not in Kafka")
    return list(found.values())


def _to_come(work: Work[Item], outcome: Done, version: Version) -> bool:
    """Whether the newer text, behind a record that another worker left, comes by itself and is then
    told: else a topic that is read from its beginning would have each told once a version."""
    late = outcome.state is State.SUPERSEDED and not work.tried
    return late and work.record.precedes(version.stamp)


def _embeddings(topic: str, work: Work[Item], result: Result, model: str) -> list[Outgoing]:
    """One record a chunk, with the input's id; nothing for a text that did not change."""
    document = work.item
    assert isinstance(document, Document)
    now = time.time()
    key = document.key.id.encode()
    headers = [(h.OWN, b"1"), *h.trace(work.record.headers)]
    count = len(result.chunks)
    return [
        Outgoing(
            topic,
            key,
            Embedding.of(document, chunk, chunk_count=count, model=model, now=now).encode(),
            headers,
        )
        for chunk in result.chunks
    ]


def _request(topic: str, work: Work[Item], result: Result) -> Outgoing:
    """A slow LLM must not hold back embedding: summaries have a topic of their own."""
    document = work.item
    assert isinstance(document, Document)
    value = SummaryRequest.of(document, result.content_hash).encode()
    return Outgoing(topic, document.key.id.encode(), value, carried(work.record))
