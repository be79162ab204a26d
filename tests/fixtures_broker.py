"""A real broker for tests: one a session, in a folder of its own, at a free port.

Use it with ``pytest_plugins = ["tests.fixtures_broker"]`` in the root conftest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from testkit.broker import Broker, create_topic, unique


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The session's broker. A test that kills or stops it starts it again."""
    found = Broker(tmp_path_factory.mktemp("kafka"))
    found.start()
    try:
        yield found
    finally:
        found.stop()


MakeTopic = Callable[..., str]


@pytest.fixture
def make_topic(broker: Broker) -> MakeTopic:
    """Return a function that creates a topic and returns its name, which no other test has.

    ``make_topic("text-messages", partitions=8, config={"cleanup.policy": "compact"})``
    """

    def make(
        prefix: str = "test", partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> str:
        name = unique(prefix)
        _blocking(create_topic(broker.bootstrap, name, partitions, config))
        return name

    return make


def _blocking(coroutine: object) -> None:
    """Run it in a thread of its own: an async test has a loop already."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, coroutine).result(60)  # type: ignore[arg-type]
