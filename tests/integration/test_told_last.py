"""Two workers write one document from two partitions. The one that stored the older text publishes
late: behind it, `embeddings` and `llm-results` have the newer one once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from aiokafka import TopicPartition

from agents import embed, summarize
from models import SummaryRequest
from testkit.broker import Broker, create_topic
from testkit.system import until
from tests.fixtures_broker import MakeTopic
from tests.unit.test_pipeline import Characters
from tests.unit.test_summarize_order import Repeating
from tickertape import headers as h
from tickertape import topics
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.offsets import ConsumerOffsets
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.delivery.spec import FlowLimits, Spec
from tickertape.embed.runner import Runner
from tickertape.kafka.consumer import Consumer
from tickertape.kafka.recall import Recall
from tickertape.pipeline import Pipeline
from tickertape.record import Outgoing, Record
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.stores.sqlite import SqliteStore

LIMITS = FlowLimits(100, 10**6, (), 0.0, "group", "batch-progress")


class Held:
    """A publisher that is held up for as long as one wants."""

    def __init__(self, publisher: KafkaPublisher) -> None:
        self.publisher = publisher
        self.open = asyncio.Event()
        self.reached = asyncio.Event()
        self.open.set()

    async def send(self, records: Sequence[Outgoing]) -> list[Exception | None]:
        self.reached.set()
        await self.open.wait()
        return await self.publisher.send(records)


@dataclass
class Desk:
    """A store, a broker, and as many workers as one wants."""

    settings: Settings
    services: Services
    publisher: KafkaPublisher

    def worker(self, spec: Spec[Any]) -> tuple[Flow[Any], Held]:
        """A flow as a worker of its own has it: with its own gate."""
        held = Held(self.publisher)
        return Flow(spec, LIMITS, held.send, Breakers()), held

    def texts(self) -> tuple[Flow[Any], Held]:
        return self.worker(embed.specs(self.settings, lambda: self.services)[0])

    def summaries(self) -> tuple[Flow[Any], Held]:
        return self.worker(summarize.specs(self.settings, lambda: self.services)[0])

    async def records(self, topic: str) -> list[Any]:
        """All that stands on a topic, in the order of its partitions."""
        consumer = Consumer(bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            states = await consumer.topic_states([topic])
            tps = [TopicPartition(topic, n) for n in range(states[topic].partitions)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            found: list[Any] = []
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for messages in (await consumer.getmany(timeout_ms=200)).values():
                    found += messages
            return sorted(found, key=lambda message: (message.partition, message.offset))
        finally:
            await consumer.stop()

    async def said(self, text: str, partition: int) -> Record:
        """A text of the document, as it stands on its topic."""
        topic = self.settings.topic_text_messages
        value = orjson.dumps({"id": "d", "text": text})
        errors = await self.publisher.send([Outgoing(topic, b"d", value, (), partition)])
        assert errors == [None]
        last = [m for m in await self.records(topic) if m.partition == partition][-1]
        return Record.of(last, trusted=False, clock_ms=last.timestamp)

    async def told(self) -> list[str]:
        """The texts on `embeddings`, in order."""
        topic = self.settings.topic_embeddings
        return [orjson.loads(m.value)["original_text"] for m in await self.records(topic)]

    async def retold(self, flow: Flow[Any]) -> int:
        """Give a flow what was put on its internal topic; return how many records."""
        topic = topics.rekeyed(self.settings.topic_text_messages)
        found = await self.records(topic)
        await done(flow, *[Record.of(message, trusted=True) for message in found])
        return len(found)


@pytest.fixture
async def desk(broker: Broker, make_topic: MakeTopic, tmp_path: Path) -> AsyncIterator[Desk]:
    texts = make_topic("texts", partitions=2)
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        brokers=broker.bootstrap,
        data_dir=tmp_path,
        topic_text_messages=texts,
        topic_embeddings=make_topic("embeddings"),
        topic_llm_results=make_topic("results"),
    )
    await create_topic(broker.bootstrap, topics.rekeyed(texts), 1, None)
    store = SqliteStore(settings)
    await store.start()
    runner = Runner(cast(Any, Characters()), 64)
    await runner.start()
    pipeline = Pipeline(store, runner, chunk_tokens=1000, overlap_tokens=0)
    recall = Recall(settings.bootstrap)
    made = SimpleNamespace(
        pipeline=pipeline, runner=runner, stores=[store], summarizer=Repeating(), recall=recall
    )
    publisher = KafkaPublisher(settings)
    await publisher.start()
    yield Desk(settings, cast(Services, made), publisher)
    await publisher.stop()
    await recall.stop()
    await store.stop()
    await runner.stop()


async def done(flow: Flow[Any], *records: Record) -> None:
    """Hand records over, and wait until they are settled."""
    offsets = ConsumerOffsets()
    for record in records:
        flow.put([record], offsets.of(record.topic, record.partition))
    await settled(flow)


async def settled(flow: Flow[Any]) -> None:
    async def over() -> bool:
        return not flow.records_in_flight

    await until(over, "all to be settled")


def put(flow: Flow[Any], record: Record) -> None:
    flow.put([record], ConsumerOffsets().of(record.topic, record.partition))


async def test_behind_an_older_text_the_newer_one_is_told_again(desk: Desk) -> None:
    (slow, held), (quick, _) = desk.texts(), desk.texts()
    old, new = await desk.said("old", 0), await desk.said("new", 1)
    held.open.clear()
    put(slow, old)
    await held.reached.wait()  # it is stored, and its vector is on its way
    await done(quick, new)
    held.open.set()
    await settled(slow)
    assert await desk.told() == ["new", "old"]
    assert await desk.retold(quick) == 1
    assert await desk.told() == ["new", "old", "new"]
    assert await desk.retold(quick) == 1, "and nothing is told once more for ever"


async def test_a_worker_that_told_an_older_text_may_end_before_it_looks(desk: Desk) -> None:
    (slow, held), (quick, _), (heir, _) = desk.texts(), desk.texts(), desk.texts()
    old, new = await desk.said("old", 0), await desk.said("new", 1)
    held.open.clear()
    put(slow, old)
    await held.reached.wait()
    await done(quick, new)
    (window,) = slow._tasks
    sent = held.publisher.send

    async def send_and_die(records: Sequence[Outgoing]) -> list[Exception | None]:
        found = await sent(records)
        slow.pause()  # it starts nothing any more
        window.cancel()
        return found

    held.publisher = cast(Any, SimpleNamespace(send=send_and_die))
    held.open.set()
    await asyncio.wait([window])
    assert await desk.told() == ["new", "old"]
    await done(heir, Record.of(await _message(desk, old), trusted=False, again=True))
    assert await desk.retold(heir) == 1
    assert (await desk.told())[-1] == "new"


async def _message(desk: Desk, record: Record) -> Any:
    found = await desk.records(record.topic)
    return next(m for m in found if (m.partition, m.offset) == (record.partition, record.offset))


async def test_what_nobody_can_have_told_is_passed_over(desk: Desk) -> None:
    flow, _ = desk.texts()
    old, new = await desk.said("old", 0), await desk.said("new", 1)
    await done(flow, new)
    await done(flow, old)
    assert await desk.retold(flow) == 0
    assert await desk.told() == ["new"]


async def test_behind_an_older_summary_the_newer_one_is_told_again(desk: Desk) -> None:
    (slow, held), (quick, _) = desk.summaries(), desk.summaries()
    asked = []
    for offset, partition in enumerate((0, 1)):
        said = await desk.said(("old", "new")[partition], partition)
        item = embed.specs(desk.settings, lambda: desk.services)[0].decode(said)
        value = SummaryRequest.of(item).encode()
        asked.append(
            Record("summary-requests", partition, offset, b"d", value, (), 1, trusted=True)
        )
    held.open.clear()
    put(slow, asked[0])
    await held.reached.wait()
    await done(quick, asked[1])
    held.open.set()
    await settled(slow)
    results = await desk.records(desk.settings.topic_llm_results)
    assert [orjson.loads(m.value)["summary"] for m in results] == ["new", "old", "new"]


async def test_behind_an_older_text_an_edited_dead_letters_is_told_again(desk: Desk) -> None:
    """It stands nowhere but on the internal topic, to which it was replayed."""
    flow, _ = desk.texts()
    old = await desk.said("old", 0)
    topic = topics.rekeyed(desk.settings.topic_text_messages)
    value = orjson.dumps({"id": "d", "text": "edited"})
    headers = [(h.ORIGIN, str(old.origin).encode()), (h.REKEYED, b"1"), (h.EDITED, b"1")]
    assert await desk.publisher.send([Outgoing(topic, b"d", value, headers, 0)]) == [None]
    assert await desk.retold(flow) == 1
    await done(flow, replace(old, again=True))
    assert await desk.retold(flow) == 2
    assert await desk.told() == ["edited"] * 3


async def test_a_recall_that_failed_is_made_up_for(desk: Desk) -> None:
    (slow, held), (quick, _) = desk.texts(), desk.texts()
    old, new = await desk.said("old", 0), await desk.said("new", 1)
    held.open.clear()
    put(slow, old)
    await held.reached.wait()
    await done(quick, new)
    recall = desk.services.recall
    away = Recall("localhost:1")
    desk.services.recall = away  # type: ignore[misc]
    held.open.set()

    async def waits() -> bool:
        return slow.reason.startswith("kafka: ")

    await until(waits, "the flow to wait for Kafka")
    desk.services.recall = recall  # type: ignore[misc]
    await settled(slow)
    assert await desk.retold(quick) == 1
    assert (await desk.told())[-1] == "new"
