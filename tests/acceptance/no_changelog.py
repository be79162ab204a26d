"""``faust -A tests.acceptance.no_changelog``: the app, with a broker that takes no change of its
tables."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer

from app import app, worker

__all__ = ["app", "worker"]


def slow(method: Any, topic_at: int) -> Any:
    async def send(self: AIOKafkaProducer, *args: Any, **kwargs: Any) -> Any:
        topic = kwargs.get("topic") or args[topic_at]
        if topic.endswith("-changelog"):
            await asyncio.Event().wait()
        return await method(self, *args, **kwargs)

    return send


AIOKafkaProducer.send = slow(AIOKafkaProducer.send, 0)
AIOKafkaProducer.send_batch = slow(AIOKafkaProducer.send_batch, 1)
