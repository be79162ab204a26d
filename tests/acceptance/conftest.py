"""The system under test: real worker processes on the session's real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testkit import postgres
from testkit.broker import Broker
from testkit.postgres import Postgres
from testkit.system import System


@pytest.fixture
async def system(broker: Broker, model_cache: Path, tmp_path: Path) -> AsyncIterator[System]:
    """A system of its own: topics, group, data folder. Its workers end with the test."""
    made = System(broker, model_cache, tmp_path)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def own_system(model_cache: Path, tmp_path: Path) -> AsyncIterator[System]:
    """A system on a broker of its own, which the test may stop and kill."""
    broker = Broker(tmp_path / "kafka")
    await asyncio.to_thread(broker.start)
    made = System(broker, model_cache, tmp_path)
    try:
        await made.open()
        yield made
    finally:
        await asyncio.to_thread(broker.start)  # closing asks it
        await made.close()
        await asyncio.to_thread(broker.stop)


@pytest.fixture
async def server() -> AsyncIterator[Postgres]:
    """A PostgreSQL that the test may end."""
    try:
        made = await asyncio.to_thread(Postgres)
    except ModuleNotFoundError:
        pytest.skip(postgres.MISSING)
    yield made
    await asyncio.to_thread(made.close)
