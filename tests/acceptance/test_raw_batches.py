"""Whatever bytes a record or a batch holds, it costs itself: the rest goes on, in every reader.

One record with a header name that is not UTF-8 ended every worker, and again after each start.
"""

from __future__ import annotations

import json
from typing import Any

from testkit.raw_batches import Header, batch, produce
from testkit.system import System, Worker, until
from tests.acceptance.test_replay import dlq
from tickertape import topics

BAD: list[Header] = [(b"\xff\xfe-bad", b"\xfd"), (b"\xff\xfe-bad", None)]
LZ4, ZSTD = 3, 4


def document(id: str, batch_id: str, **more: Any) -> bytes:
    fields = {"id": id, "text": f"Revenue of {id} rose nine percent.", "batch_id": batch_id}
    return json.dumps({**fields, **more}).encode()


def names(record: Any) -> list[tuple[bytes, bytes | None]]:
    """The headers of a copy that are not ours, as bytes."""
    found = [(name.encode("utf-8", "surrogateescape"), value) for name, value in record.headers]
    return [one for one in found if one in BAD]


async def unreadable(worker: Worker, topic: str) -> float:
    """What the worker counts as passed over."""
    prefix = f'tickertape_unreadable_total{{topic="{topic}"'
    lines = (await worker.get("/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(prefix))


async def test_header_names_of_any_bytes_in_every_topic_that_is_read(system: System) -> None:
    settings = system.settings
    topic = settings.topic_text_messages
    worker = await system.worker()
    producer = await system.producer()
    declared = json.dumps({"batch_id": "b-raw", "status": "queued", "total_documents": 4}).encode()
    raws = {
        settings.topic_batch_status: batch([(b"b-raw", declared, BAD)], 0),
        settings.topic_batch_progress: batch([(b"b-raw", b"\x00 no delta", BAD)], 0, LZ4),
        topics.retry(topic, 0): batch([(b"waits", document("waits", "b-raw"), BAD)], 0),
        topics.dlq(topic): batch([(b"foreign", b"{}", BAD)], 0),
        topic: batch(
            [
                (b"before", document("before", "b-raw"), []),
                (b"named", document("named", "b-raw"), BAD),
                (b"\xff\xfe", document("dead", "b-raw", text=5), BAD),
            ]
        ),
    }
    for name, raw in raws.items():
        await produce(producer, name, raw)
    state = await system.finished(worker, "b-raw")
    assert (state["done"], state["dead"], state["status"]) == (3, 1, "failed")
    letter = next(one for one in await system.dead(topic) if one.key == b"\xff\xfe")
    assert names(letter) == BAD  # byte for byte

    shown = (await worker.json("/dlq"))["letters"]
    assert len([one for one in shown if one["topic"] == topics.dlq(topic)]) == 2
    (listed,) = await dlq(system, "list", "--batch", "b-raw")
    full = await dlq(system, "show", listed["id"])
    assert ["\\xff\\xfe-bad", "\\xfd"] in full["headers"]
    await dlq(system, "replay", listed["id"], "--set", 'text="Revenue fell."')

    async def completed() -> bool:
        return bool((await worker.json("/ingest-status/b-raw"))["status"] == "completed")

    await until(completed, f"the replayed record:\n{worker.tail()}")
    assert await unreadable(worker, topic) == 0
    assert await worker.stop() == 0


async def test_a_batch_that_inflates_beyond_all_bounds_ends_no_worker(system: System) -> None:
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    producer = await system.producer()
    declared = await system.declare(2)
    bomb = batch([(b"bomb", bytes(2**27), [])], 0, ZSTD)
    assert len(bomb) < 2**16
    before, after = (
        batch([(name.encode(), document(name, declared), [])]) for name in ("before", "after")
    )
    for name in (topic, topics.retry(topic, 0), topics.dlq(topic)):
        await produce(producer, name, bomb)
    for raw in (before, bomb, after):
        await produce(producer, topic, raw)
    assert (await system.finished(worker, declared))["done"] == 2
    await until(lambda: _is(worker, topics.retry(topic, 0), 1), f"the retries:\n{worker.tail()}")
    assert await unreadable(worker, topic) == 2
    assert await dlq(system, "list", "--topic", topic) == []
    assert "inflates to more than" in worker.log.read_text()
    assert await worker.stop() == 0


async def _is(worker: Worker, topic: str, count: float) -> bool:
    return await unreadable(worker, topic) == count
