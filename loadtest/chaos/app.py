"""``faust -A loadtest.chaos.app``: the app, in a process whose clock is wrong, or with a broker
that is slow to take the changes of its tables."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from aiokafka import AIOKafkaProducer

CLOCK_SECONDS = float(os.environ.get("CHAOS_CLOCK_SECONDS", "0"))
CHANGELOG_SECONDS = float(os.environ.get("CHAOS_CHANGELOG_SECONDS", "0"))


def _wrong(clock: Any, factor: int = 1) -> Any:
    return lambda: clock() + type(clock())(CLOCK_SECONDS * factor)


def _slow(method: Any, topic_at: int) -> Any:
    async def send(self: AIOKafkaProducer, *args: Any, **kwargs: Any) -> Any:
        topic = kwargs.get("topic") or args[topic_at]
        if topic.endswith("-changelog"):
            await asyncio.sleep(CHANGELOG_SECONDS)
        return await method(self, *args, **kwargs)

    return send


if CLOCK_SECONDS:
    time.time = _wrong(time.time)
    time.time_ns = _wrong(time.time_ns, 1_000_000_000)
if CHANGELOG_SECONDS:
    AIOKafkaProducer.send = _slow(AIOKafkaProducer.send, 0)
    AIOKafkaProducer.send_batch = _slow(AIOKafkaProducer.send_batch, 1)

from app import app, worker  # noqa: E402 -- after its clock is set

__all__ = ["app", "worker"]
