"""Every part of a consumer is closed, whatever aiokafka's parts say when they are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tickertape.kafka.consumer import Consumer


class Part:
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.closed = False
        self._pending_tasks: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        self.closed = True
        if self.error is not None:
            raise self.error


class Fetching(Part):
    """As aiokafka's fetcher: it cancels its fetches one by one, and awaits each."""

    async def close(self) -> None:
        self.closed = True
        for task in self._pending_tasks:
            task.cancel()
            await task


@pytest.mark.parametrize("error", [asyncio.CancelledError(), RuntimeError("it broke")])
async def test_the_parts_behind_one_that_fails_are_closed(error: BaseException) -> None:
    consumer = Consumer(bootstrap_servers="no-broker:1")
    parts = [Part(error), Part(error), Part()]
    await consumer._client.close()
    consumer._coordinator, consumer._fetcher, consumer._client = parts
    await consumer.stop()
    assert all(part.closed for part in parts)
    await consumer.stop()


async def test_fetches_that_wait_for_the_broker_are_all_ended() -> None:
    consumer = Consumer(bootstrap_servers="no-broker:1")
    await consumer._client.close()
    fetcher = Fetching()
    fetcher._pending_tasks = {asyncio.create_task(asyncio.sleep(60)) for _ in range(3)}
    await asyncio.sleep(0)
    consumer._coordinator, consumer._fetcher, consumer._client = Part(), fetcher, Part()
    await asyncio.wait_for(consumer.stop(), 5)
    assert all(task.done() for task in fetcher._pending_tasks)
    assert consumer._client.closed


async def test_a_stop_can_be_cancelled() -> None:
    consumer = Consumer(bootstrap_servers="no-broker:1")
    await consumer._client.close()

    class Slow(Part):
        async def close(self) -> None:
            await asyncio.sleep(60)

    consumer._coordinator, consumer._fetcher, consumer._client = Slow(), Part(), Part()
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(stopping, 5)
