"""SIGTERM while the broker is away: the worker ends by itself, and loses nothing."""

from __future__ import annotations

import asyncio

from testkit.system import System, documents
from worker.app import FORCED_EXIT


async def test_a_worker_ends_without_its_broker(own_system: System):
    worker = await own_system.worker()
    batch = await own_system.declare(3)
    await own_system.send(own_system.settings.topic_text_messages, documents(3, batch))
    await own_system.finished(worker, batch)
    await asyncio.to_thread(own_system.broker.kill)
    # Clean where it had nothing left to tell the broker, forced where its client waits for it.
    await worker.stop(0, FORCED_EXIT)
    await asyncio.to_thread(own_system.broker.start)
    worker = await own_system.worker()
    assert (await own_system.finished(worker, batch))["done"] == 3
