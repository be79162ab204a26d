"""Fewer retry levels than before: what waits in the topics that are left out is still read."""

from __future__ import annotations

from testkit.system import System, until
from tickertape import headers as h
from tickertape import kafka_admin, topics


async def test_what_waits_in_a_retry_topic_that_is_left_out_is_read(system: System):
    system.configure(TICKERTAPE_RETRY_DELAYS="1,1,1")
    first = await system.worker()
    await first.stop()
    base = system.settings.topic_text_messages
    topic = topics.retry(base, 2)
    batch = "left"
    record = {"id": "left", "text": "Revenue of Tarrant Rail rose.", "batch_id": batch}
    headers = [
        (h.RETRY_ATTEMPTS, b"3"),
        (h.ORIGIN, f"{base}/0/5".encode()),
        (h.VERSION, b"1000.5"),
    ]
    await system.send(topic, [record], headers=headers)

    system.configure(TICKERTAPE_RETRY_DELAYS="1")
    levels = await kafka_admin.left_over(system.broker.bootstrap, system.settings)
    assert {(base, 1), (base, 2)} <= set(levels)
    worker = await system.worker()

    async def stored() -> bool:
        return (await worker.get("/documents/left")).status_code == 200

    await until(stored, f"the record to be stored:\n{worker.tail()}")
    await worker.stop()
