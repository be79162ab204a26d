"""Summary requests to summaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.items import routes_of
from models import LlmResult, SummaryRequest
from tickertape import headers as h
from tickertape.decode import Limits
from tickertape.delivery.outcome import Done, Failed, Outcome, State, Work
from tickertape.delivery.spec import Spec
from tickertape.documents import Document
from tickertape.flows import SUMMARIES
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

    async def handle(works: Sequence[Work[Document]]) -> list[Outcome]:
        return await summarize(works, settings, services())

    llm = settings.llm_url is not None
    return [
        Spec(
            name=SUMMARIES.name,
            routes=routes_of(SUMMARIES, settings),
            decode=decode,
            handle=handle,
            stage=SUMMARIES.stage,
            stages_of=lambda _origin: SUMMARIES.stages,
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
    summaries = Summaries(services.summarizer, services.stores, settings.summary_sentences)
    found = await summaries.of([work.item for work in works])
    topic = settings.topic_llm_results
    return [_outcome(topic, work, each) for work, each in zip(works, found, strict=True)]


def _outcome(topic: str, work: Work[Document], found: Summarized) -> Outcome:
    if found.error is not None:
        return Failed(found.error)
    if found.result is None:
        return Done(state=State.SUPERSEDED)
    result = LlmResult(**{"collection": work.item.key.collection, **found.result})
    key = work.item.key.id.encode()
    output = Outgoing(topic, key, result.encode(), h.trace(work.record.headers))
    return Done([output], State.UNCHANGED if result.unchanged else State.DONE)
