"""New topics are read at once, whatever the client is reading just now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tickertape.kafka.consumer import Consumer


@pytest.mark.parametrize("topics", [{"a", "b"}, {"a"}], ids=["one more", "one less"])
async def test_topics_that_change_while_metadata_is_read_are_read_right_after(
    topics: set[str],
) -> None:
    consumer = Consumer(bootstrap_servers="no-broker:1", metadata_max_age_ms=10)
    client = consumer._client
    client._topics = {"a"} if "b" in topics else {"a", "b"}
    asked: list[set[str]] = []
    reading, answered = asyncio.Event(), asyncio.Event()

    async def read(_cluster: Any, wanted: set[str]) -> bool:
        asked.append(set(wanted))
        reading.set()
        await answered.wait()
        return True

    client._metadata_update = read
    reader = asyncio.create_task(client._md_synchronizer())
    await reading.wait()  # it began because of its age
    client._metadata_max_age_ms = 60_000
    client.set_topics(topics)
    answered.set()
    await asyncio.wait_for(client._maybe_wait_metadata(), 10)
    assert asked[-1] == topics
    reader.cancel()
    await consumer.stop()
