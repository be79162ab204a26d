"""Summaries of documents, and their ledger: what did not change is never summarised twice.

The ledger is a store. It answers for what is unchanged, and says what came too late: a result of
an older version never follows one of a newer version.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from tickertape import metrics
from tickertape.documents import Document, DocumentKey, Head, StoredSummary, content_hash
from tickertape.editions import Edition
from tickertape.stores.base import Store
from tickertape.stores.capabilities import SummaryLedger, with_summaries
from tickertape.summarize.base import Summarizer, Summary, SummaryRequest

log = structlog.get_logger("tickertape.summaries")


@dataclass(frozen=True, slots=True)
class Summarized:
    """What became of one document: a result or an error.

    Neither: a newer version is stored or deleted. Its own request follows, or none.
    """

    result: Mapping[str, Any] | None = None  # the fields of llm-results
    error: Exception | None = None


class Summaries:
    """Summarises documents with ``summarizer``; a summary has ``sentences`` sentences."""

    def __init__(self, summarizer: Summarizer, stores: Sequence[Store], sentences: int) -> None:
        """``stores``: the first answers for heads, the first that can remembers summaries.

        Raises:
            LookupError: no store remembers summaries.
        """
        self._summarizer = summarizer
        self._store = stores[0]
        self._ledger = ledger_of(stores)
        self._sentences = sentences

    async def of(self, documents: Sequence[Document]) -> list[Summarized]:
        """Summarise what changed, and remember it; one outcome each, in order.

        Raises:
            Exception: the ledger cannot be read or written: nothing is known of any document.
        """
        keys = [document.key for document in documents]
        known = await self._ledger.summaries(keys)
        heads = await self._store.heads(keys)
        pairs = await asyncio.gather(*(self._one(each, known, heads) for each in documents))
        made = [summary for _, summary in pairs if summary is not None]
        await self._ledger.save_summaries(made)
        # Meanwhile a newer one may have been saved, or the document deleted: the ledger kept that.
        stored = await self._ledger.summaries([summary.key for summary in made])
        late = {s.key for s in made if s.key not in stored or stored[s.key].version != s.version}
        return [
            Summarized() if document.key in late else outcome
            for document, (outcome, _) in zip(documents, pairs, strict=True)
        ]

    async def newer(self, documents: Sequence[Document]) -> list[StoredSummary]:
        """Return the summaries of newer versions of these documents that the ledger has.

        Raises:
            Exception: the ledger cannot be read.
        """
        if not documents:
            return []
        known = await self._ledger.summaries([document.key for document in documents])
        newer = {
            document.key: stored
            for document in documents
            if (stored := known.get(document.key)) is not None and stored.version > document.version
        }
        return list(newer.values())

    async def _one(
        self,
        document: Document,
        known: Mapping[DocumentKey, StoredSummary],
        heads: Mapping[DocumentKey, Head],
    ) -> tuple[Summarized, StoredSummary | None]:
        """Return what became of it, and what the ledger is to remember."""
        hash = content_hash(document, model=self._summarizer.name, chunking=str(self._sentences))
        stored = known.get(document.key)
        head = heads.get(document.key)
        if head is not None and head.editions.outdates(Edition(document.version)):
            return Summarized(), None
        if stored is not None and stored.version > document.version:
            return Summarized(), None
        if stored is not None and stored.content_hash == hash and not document.force:
            again = stored.version == document.version
            result = {**stored.result, "timestamp": _timestamp(document), "unchanged": not again}
            moved = StoredSummary(document.key, document.version, hash, stored.result)
            return Summarized(result), None if again else moved
        started = time.perf_counter()
        try:
            summary = await self._summarizer.summarize(
                SummaryRequest(document.key.id, document.text, document.metadata)
            )
        except Exception as error:
            return Summarized(error=error), None
        seconds = time.perf_counter() - started
        metrics.summary_seconds.labels(summary.model_name).observe(seconds)
        if summary.unsupported:
            log.warning("unsupported_numbers", id=document.key.id, numbers=summary.unsupported)
        result = _result(document, summary, seconds)
        return Summarized(result), StoredSummary(document.key, document.version, hash, result)


def ledger_of(stores: Sequence[Store]) -> SummaryLedger:
    """Return the first store that remembers summaries.

    Raises:
        LookupError: there is none.
    """
    for store in stores:
        if (ledger := with_summaries(store)) is not None:
            return ledger
    raise LookupError("no configured store remembers summaries")


def _result(document: Document, summary: Summary, seconds: float) -> dict[str, Any]:
    return {
        "id": document.key.id,
        "collection": document.key.collection,
        "summary": summary.text,
        "model_name": summary.model_name,
        "status": "unverified" if summary.unsupported else "completed",
        "processing_time": round(seconds, 6),
        "prompt_tokens": summary.prompt_tokens,
        "completion_tokens": summary.completion_tokens,
        "total_tokens": summary.total_tokens,
        "error": None,
        "timestamp": _timestamp(document),
        "unchanged": False,
    }


def _timestamp(document: Document) -> float:
    """The input's time where it has one, else now."""
    return time.time() if document.timestamp is None else document.timestamp
