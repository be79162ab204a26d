"""What the load tests rest on: a backlog is worked off, stored and committed, by a stub model."""

from __future__ import annotations

from pathlib import Path

from loadtest import processes
from loadtest.corpus import Corpus
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
