"""The system under test: real worker processes on the session's real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testkit.broker import Broker
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
