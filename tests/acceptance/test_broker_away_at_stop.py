"""SIGTERM while the broker is away: the worker ends by itself, and loses nothing."""

from __future__ import annotations

from pathlib import Path

from testkit.broker import Broker
from testkit.system import System, documents
from worker.app import FORCED_EXIT


async def test_a_worker_ends_without_its_broker(model_cache: Path, tmp_path: Path):
    broker = Broker(tmp_path / "kafka")
    broker.start()
    system = System(broker, model_cache, tmp_path)
    try:
        await system.open()
        worker = await system.worker()
        batch = await system.declare(3)
        await system.send(system.settings.topic_text_messages, documents(3, batch))
        await system.finished(worker, batch)
        broker.kill()
        await worker.stop(FORCED_EXIT)  # its client waits for the broker
        broker.start()
        worker = await system.worker()
        assert (await system.finished(worker, batch))["done"] == 3
        await system.close()
    finally:
        broker.stop()
