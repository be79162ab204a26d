"""A worker's parts and a client of its pages, for every ring of tests.

A file that wants other settings or documents has a fixture ``web_settings`` or ``services`` of its
own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.web_parts import Client, Parts, parts, served


@pytest.fixture
def web_settings() -> dict[str, Any]:
    """What is not the default in the settings of `services`."""
    return {}


@pytest.fixture
async def services(tmp_path: Path, web_settings: dict[str, Any]) -> AsyncIterator[Parts]:
    """A worker's parts."""
    async with parts(tmp_path, **web_settings) as made:
        yield made


@pytest.fixture
async def client(services: Parts) -> AsyncIterator[Client]:
    """Who asks them over HTTP."""
    async with served(services) as made:
        yield made
