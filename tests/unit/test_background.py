"""Background tasks go on, and an outage does not fill the log."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tickertape import background
from tickertape.errors import OutageError


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.0)


async def run(*errors: Exception) -> list[dict]:
    left = list(errors)

    async def work() -> None:
        if left:
            raise left.pop(0)

    with capture_logs() as logs:
        await asyncio.wait_for(background.spawn("work", work), 10)
    return logs


async def test_an_outage_is_told_once_and_without_a_traceback():
    logs = await run(*[OutageError("disk full", dependency="store:sqlite")] * 50)
    assert [(line["error"], line["exc_info"]) for line in logs] == [("disk full", False)]


async def test_an_error_that_nobody_expects_has_its_traceback():
    logs = await run(ValueError("a"), ValueError("b"))
    assert [(line["error"], line["exc_info"]) for line in logs] == [("a", True), ("b", True)]
