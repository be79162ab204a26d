"""A commit at a revoke is waited for so long and no longer."""

from __future__ import annotations

import asyncio

from worker.app import within


async def test_work_that_goes_on_when_it_is_cancelled_is_not_waited_for():
    """As Faust's commit does; `asyncio.wait_for` would wait for its end."""
    end = asyncio.Event()

    async def stubborn():
        try:
            await end.wait()
        except asyncio.CancelledError:
            await end.wait()

    async with asyncio.timeout(10):
        await within(0.01, stubborn())
    assert not end.is_set()
    end.set()


async def test_an_error_is_not_raised():
    async def fails():
        raise ConnectionError("the broker is away")

    await within(10, fails())
