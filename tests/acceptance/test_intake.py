"""What the load tests rest on: a backlog is worked off, stored and committed, by a stub model."""

from __future__ import annotations

from pathlib import Path

from loadtest import processes
from loadtest.corpus import Corpus, Filings
from loadtest.intake import SESSION, intake
from testkit.broker import Broker

COUNT = 300


async def test_a_backlog_is_stored_and_committed(broker: Broker, model_cache: Path):
    corpus = Corpus(f"Revenue rose {n} percent. {'It may go on. ' * (n % 9)}" for n in range(50))
    async with processes.bench(broker, **SESSION) as bench, intake(bench) as into:
        worker = await (await bench.start("loadtest.stub")).ready()
        before = (await worker.json("/stats"))["embeddings_generated"]  # by the summariser's start
        texts = corpus.take(COUNT)
        for _ in range(2):  # the second time nothing has changed
            taken = await into.take(texts, worker)
            assert taken.records == COUNT
            assert taken.worker_cpu > 0
            assert await into.stored() == COUNT
        assert await into.committed() == into.written == 2 * COUNT
        stats = await worker.json("/stats")
        assert stats["messages_processed"] == 2 * COUNT
        assert stats["embeddings_generated"] == before + COUNT
        assert (await worker.json("/health"))["model"].endswith("@stub")


async def test_financial_documents_are_stored_and_summarised_when_all_is_committed(
    broker: Broker, model_cache: Path
):
    async with processes.bench(broker, **SESSION) as bench:
        topic, requests = (
            bench.settings.topic_financial_documents,
            bench.settings.topic_summary_requests,
        )
        async with intake(bench, topic, [requests]) as into:
            worker = await (await bench.start("loadtest.stub")).ready()
            documents = Filings.samples().take(COUNT // 10)
            taken = await into.take(documents, worker)
            assert taken.records == await into.stored() == COUNT // 10
            summarised = {row["id"] for row in await bench.values(bench.settings.topic_llm_results)}
            assert summarised == {document.id for document in documents}
            assert sum((await bench.offsets(requests)).values()) == COUNT // 10
