"""A log that lost its end (an unclean election, a restored disk): its offsets come again, and the
new records are not taken for old ones."""

from __future__ import annotations

from pathlib import Path

from testkit.broker import Broker
from testkit.system import System, documents, until


async def test_offsets_that_come_again_lower_are_new_records(
    model_cache: Path, tmp_path: Path
) -> None:
    broker = Broker(tmp_path / "kafka")
    broker.start()
    system = System(broker, model_cache, tmp_path)
    topic = system.settings.topic_text_messages
    try:
        await system.open()
        worker = await system.worker()
        await system.send(topic, documents(20, prefix="old"))

        async def stored(count: int) -> bool:
            async with system.store() as store:
                return bool((await store.count()).documents == count)

        await until(lambda: stored(20), f"the first records:\n{worker.tail()}")
        broker.stop()
        for folder in broker.data_dir.rglob(f"{topic}-[0-9]*"):
            for file in folder.glob("*.log"):
                file.write_bytes(b"")
            for file in (*folder.glob("*index"), *folder.glob("*.snapshot")):
                file.unlink()
        broker.start()
        await system.send(topic, documents(8, prefix="new"))
        await until(lambda: stored(28), f"the new records:\n{worker.tail()}")
        assert await system.committed(topic) <= 20

        async def caught_up() -> bool:
            return await system.committed(topic) == 8

        await until(caught_up, f"the new log's commits:\n{worker.tail()}")
        await worker.stop()
        await system.close()
    finally:
        broker.stop()
