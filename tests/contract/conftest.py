"""Fixtures of the contract tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contract.store_kit import FACTORIES, Adapter
from tickertape.stores.base import Store


@pytest.fixture(params=sorted(FACTORIES))
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Adapter]:
    """Each configured store in turn, empty."""
    with FACTORIES[request.param](tmp_path / "store") as made:
        yield made


@pytest.fixture
async def store(adapter: Adapter) -> AsyncIterator[Store]:
    """The store, started."""
    opened = adapter.store()
    await opened.start()
    yield opened
    await opened.stop()
