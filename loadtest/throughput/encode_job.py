"""sentence-transformers: `encode` of many texts at a time; or one message at a time from Kafka.

Runs in the export environment, with aiokafka. Usage: ``encode_job MODULE``, the package that
carries the model. The second way is what the common tutorial does: consume, encode, insert,
commit, next.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sqlite3
import sys
from typing import Any

from sentence_transformers import SentenceTransformer

from loadtest.throughput.serve import Clock, serve


def main(module: str) -> None:
    """Load the model and serve."""
    carrier: Any = importlib.import_module(module)
    model = SentenceTransformer(str(carrier.get_model_path()), device="cpu")

    def embed(texts: list[str], batch_size: int) -> dict[str, Any]:
        with Clock() as clock:
            model.encode(texts, batch_size=batch_size)
        return clock.used

    def consume(brokers: str, topic: str, count: int, database: str) -> dict[str, Any]:
        return asyncio.run(_consume(model, brokers, topic, count, database))

    serve({"embed": embed, "consume": consume})


async def _consume(model: Any, brokers: str, topic: str, count: int, database: str) -> Any:
    from aiokafka import AIOKafkaConsumer

    store = sqlite3.connect(database)
    store.execute("CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, text, vector)")
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, group_id="tutorial", auto_offset_reset="earliest"
    )
    await consumer.start()
    done = 0
    try:
        with Clock() as clock:
            async for message in consumer:
                value = json.loads(message.value)
                vector = model.encode(value["text"])
                store.execute(
                    "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
                    (value["id"], value["text"], vector.tobytes()),
                )
                store.commit()
                done += 1
                # Most tutorials leave this out: the heartbeat then waits for what is fetched to be
                # done, and the group throws the consumer out in the middle.
                await asyncio.sleep(0)
                if done == count:
                    break
    finally:
        await consumer.stop()
        store.close()
    return clock.used


if __name__ == "__main__":
    main(sys.argv[1])
