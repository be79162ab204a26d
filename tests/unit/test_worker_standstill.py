"""A stop that hung says where."""

from __future__ import annotations

import asyncio
import os

import pytest

from worker import app
from worker.standstill import waits


async def test_each_task_is_told_from_its_outermost_call_to_what_it_awaits() -> None:
    never = asyncio.Event()

    async def inner() -> None:
        await never.wait()

    async def outer() -> None:
        await inner()

    tasks = [asyncio.create_task(outer()) for _ in range(3)]
    await asyncio.sleep(0)
    found = [place for place in waits([asyncio.get_running_loop()]) if ".outer:" in place]
    assert len(found) == 1, "each place once"
    names = [place.rpartition(":")[0] for place in found[0].split(" > ")]
    assert names == ["test_worker_standstill.outer", "test_worker_standstill.inner", "locks.wait"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_stop_that_hung_ends_though_it_cannot_be_said_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(app, "STOP_SECONDS_MAX", 0.0)

    def fails(_loops: object) -> list[str]:
        raise RuntimeError("the tasks changed while they were looked at")

    monkeypatch.setattr(app, "waits", fails)
    with pytest.raises(RuntimeError):
        app._end_late([])
    assert codes == [app.FORCED_EXIT]
