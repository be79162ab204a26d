"""New topics are read at once, whatever the client is reading just now."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tickertape.kafka.client import Client
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


async def test_a_close_does_not_wait_for_a_goodbye_that_comes_late() -> None:
    """As TLS does while a fetch is under way."""
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    transport = SimpleNamespace(abort=lambda: gone.set_result(None))
    conn = SimpleNamespace(
        _writer=SimpleNamespace(transport=transport), close=lambda **_: gone, connected=lambda: True
    )
    client = Client(bootstrap_servers="localhost:1")
    client._conns = {"node": conn}
    await asyncio.wait_for(client.close(), 20)
    assert gone.done()
