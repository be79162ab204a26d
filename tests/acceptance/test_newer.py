"""Which of two events is newer, on a topic that producers stamp: their clocks decide nothing."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from testkit.system import System, Worker, until

YEAR_2200 = 7_258_118_400_000


def now() -> int:
    return int(time.time() * 1000)


@pytest.fixture
async def create_time(system: System) -> System:
    """The text topic as Kafka makes it by default."""
    admin = AIOKafkaAdminClient(bootstrap_servers=system.broker.bootstrap)
    await admin.start()
    try:
        name = system.settings.topic_text_messages
        config = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": 2**62}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, config)])
    finally:
        await admin.close()
    return system


class Desk:
    """Sends texts of one id after another, each with a time of its own, and looks at them."""

    def __init__(self, system: System, worker: Worker) -> None:
        self.system, self.worker = system, worker
        self.topic = system.settings.topic_text_messages

    async def say(
        self, id: str, text: str | None, at: int, *, key: str | None = None, **more: Any
    ) -> None:
        producer = await self.system.producer()
        value = None if text is None else json.dumps({"id": id, "text": text, **more}).encode()
        await producer.send_and_wait(self.topic, value, key=(key or id).encode(), timestamp_ms=at)

    async def shows(self, id: str, text: str | None) -> None:
        """Wait until a text is shown, or none; then look once more, when nothing is on its way."""

        async def shown() -> str | None:
            reply = await self.worker.get(f"/documents/{id}")
            documents = reply.json()["documents"] if reply.status_code == 200 else []
            texts = [c["text"] for d in documents for c in d["chunks"]]
            return " ".join(texts) if texts else None

        async def right() -> bool:
            return await shown() == text

        await until(right, f"{id} to be {text!r}:\n{self.worker.tail()}")

    async def quiet(self) -> None:
        async def done() -> bool:
            ends = await self.system.ends(self.topic)
            offsets = await self.system.offsets(self.topic)
            flows = (await self.worker.json("/stats"))["flows"]
            idle = all(flow["records_in_flight"] == 0 and not flow["lag"] for flow in flows)
            return idle and all(offsets.get(tp, 0) >= end for tp, end in ends.items())

        await until(done, f"all to be done:\n{self.worker.tail()}")


async def test_what_is_said_later_in_a_partition_is_newer(create_time: System) -> None:
    worker = await create_time.worker()
    desk = Desk(create_time, worker)
    for edition in range(5):
        await desk.say("falls", f"edition {edition}", now() - 3_600_000 * edition)
    await desk.say("future", "from 2200", YEAR_2200)
    await desk.say("future", "from today", now())
    await desk.say("gone", "from 2200", YEAR_2200)
    await desk.say("gone", None, now())
    await desk.say("last", "from today", now())
    await desk.say("last", "from 2200", YEAR_2200)
    await desk.quiet()
    await desk.shows("falls", "edition 4")
    await desk.shows("future", "from today")
    await desk.shows("gone", None)
    await desk.shows("last", "from 2200")

    await worker.stop()
    desk.worker = await create_time.worker()  # its clocks go on from what is committed
    await desk.say("falls", "edition 5", now() - 86_400_000)
    await desk.quiet()
    await desk.shows("falls", "edition 5")
    await desk.say("falls", None, 1)
    await desk.quiet()
    await desk.shows("falls", None)


async def test_versions_and_deletes_are_on_one_scale(system: System) -> None:
    worker = await system.worker()
    desk = Desk(system, worker)
    batch = await system.declare(4)
    for id, first, second in (("counted", 1, 2), ("again", 5, 1)):
        await desk.say(id, "before", now(), version=first, batch_id=batch)
        await desk.say(id, None, now())
        await desk.say(id, f"after {id}", now(), version=second, batch_id=batch)
    for id, version in (("micro", now() * 1000), ("date", 20261125220000)):
        await desk.say(id, "text", now(), version=version)
        await desk.say(id, None, now())
    assert (await system.finished(worker, batch))["done"] == 4
    await desk.quiet()
    await desk.shows("counted", "after counted")
    await desk.shows("again", "after again")
    await desk.shows("micro", None)
    await desk.shows("date", None)

    passed = await system.declare(2)
    await desk.say("older", "five", now(), version=5, batch_id=passed)
    await desk.say("older", "four", now(), version=4, batch_id=passed)
    state = await system.finished(worker, passed)
    assert (state["done"], state["superseded"]) == (2, 1)
    await desk.shows("older", "five")
    assert (await worker.flow("text"))["superseded"] >= 1
    assert '"superseded"' in worker.log.read_text("utf-8")
    metrics = (await worker.get("/metrics")).text
    assert f'outcome="superseded",topic="{desk.topic}"' in metrics


async def test_what_a_late_delete_uncovers_is_read_again(create_time: System) -> None:
    """The filing is older by its number and said later: it was passed over, and not kept. The
    delete was said between the two."""
    worker = await create_time.worker()
    desk = Desk(create_time, worker)
    long_ago = now() - 60_000
    await desk.say("covered", "five", long_ago, version=5, table_name="desk")
    await desk.shows("covered", "five")
    filing = {"id": "covered", "text": "four", "version": 4, "table_name": "desk"}
    await create_time.send(create_time.settings.topic_financial_documents, [filing])

    async def passed_over() -> bool:
        return bool((await worker.flow("documents"))["superseded"])

    await until(passed_over, f"the filing to be passed over:\n{worker.tail()}")
    await desk.shows("covered", "five")
    await desk.say("covered", None, long_ago + 1)
    await desk.shows("covered", "four")


async def test_a_delete_is_of_all_that_its_topic_wrote(system: System) -> None:
    """Also where another topic wrote since, and where its own record comes by another way."""
    worker = await system.worker()
    desk = Desk(system, worker)
    await desk.say("shared", "from texts", now(), table_name="desk")
    await desk.shows("shared", "from texts")
    filing = {"id": "shared", "text": "from filings", "table_name": "desk"}
    await system.send(system.settings.topic_financial_documents, [filing])
    await desk.shows("shared", "from filings")
    await desk.say("shared", None, now())
    await desk.shows("shared", None)
    for n in range(20):  # by another key: it goes once through the internal topic
        await desk.say(f"moved-{n}", "text", now(), key=f"other-{n}", table_name="elsewhere")
        await asyncio.sleep(0.01)  # in one millisecond two partitions tell no order
        await desk.say(f"moved-{n}", None, now())
    await desk.quiet()
    for n in range(20):
        await desk.shows(f"moved-{n}", None)


async def test_parts_made_elsewhere_come_in_any_order(system: System) -> None:
    worker = await system.worker()
    desk = Desk(system, worker)
    parts = [
        {
            "id": "parts",
            "text": f"part {n}",
            "embedding": [1.0, float(n), 0.5],
            "model_name": "theirs",
            "chunk": n,
            "chunk_count": 3,
        }
        for n in (1, 0, 2)
    ]
    await system.send(system.settings.topic_embeddings, parts)
    await desk.shows("parts", "part 0 part 1 part 2")
