"""Summary requests to summaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.items import routes_of
from models import LlmResult, SummaryRequest
from tickertape import headers as h
from tickertape.decode import Limits
from tickertape.delivery.outcome import Done, Failed, Outcome, State, Work
from tickertape.delivery.spec import Spec
from tickertape.documents import Document, DocumentKey
from tickertape.flows import SUMMARIES
from tickertape.llm import provider_of
from tickertape.record import Outgoing, Record
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.summaries import Summaries, Summarized

OVERHEAD_BYTES = 2**20  # a request holds the document's metadata beside its text


def specs(settings: Settings, services: Callable[[], Services]) -> list[Spec[Document]]:
    """Return the flow that summarises."""
    limits = Limits(settings.text_bytes_max + OVERHEAD_BYTES)

    def decode(record: Record) -> Document:
        return SummaryRequest.decode(record, limits).to_document(record)

    def summaries() -> Summaries:
        made = services()
        return Summaries(made.summarizer, made.stores, settings.summary_sentences)

    async def handle(works: Sequence[Work[Document]]) -> list[Outcome]:
        return await summarize(works, settings, summaries())

    async def behind(done: Sequence[tuple[Work[Document], Done]]) -> list[Outgoing]:
        return await overtaken(done, settings, summaries())

    llm = provider_of(settings) is not None
    return [
        Spec(
            name=SUMMARIES.name,
            routes=routes_of(SUMMARIES, settings),
            decode=decode,
            handle=handle,
            stage=SUMMARIES.stage,
            stages_of=lambda _origin: SUMMARIES.stages,
            batch_of=lambda document: document.batch_id,
            overtaken=behind,
            dependencies=(
                *(["llm"] if llm else []),
                *(f"store:{name}" for name in settings.stores[:1]),  # the ledger
            ),
            # An LLM answers one document a call: many small windows keep its queue filled.
            windows=settings.llm_concurrency if llm else 2,
            window_records=1 if llm else 32,
        )
    ]


async def summarize(
    works: Sequence[Work[Document]], settings: Settings, summaries: Summaries
) -> list[Outcome]:
    """Summarise what changed; one outcome each."""
    found = await summaries.of([work.item for work in works])
    topic = settings.topic_llm_results
    return [_outcome(topic, work, each) for work, each in zip(works, found, strict=True)]


async def overtaken(
    done: Sequence[tuple[Work[Document], Done]], settings: Settings, summaries: Summaries
) -> list[Outgoing]:
    """Return the results that must stand behind what was just told, as they are of newer versions
    (compare `agents.embed.overtaken`)."""
    told = [
        work.item for work, outcome in done if outcome.outputs or work.tried or work.record.again
    ]
    topic = settings.topic_llm_results
    return [_output(topic, each.key, each.result) for each in await summaries.newer(told)]


def _outcome(topic: str, work: Work[Document], found: Summarized) -> Outcome:
    if found.error is not None:
        return Failed(found.error)
    if found.result is None:
        return Done(state=State.SUPERSEDED)
    output = _output(topic, work.item.key, found.result, h.trace(work.record.headers))
    return Done([output], State.UNCHANGED if found.result["unchanged"] else State.DONE)


def _output(
    topic: str, key: DocumentKey, result: Mapping[str, Any], headers: h.Headers = ()
) -> Outgoing:
    value = LlmResult(**{"collection": key.collection, **result}).encode()
    return Outgoing(topic, key.id.encode(), value, headers)
