"""A consumer that stops in a rebalance: the app's part of it still gets its answers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from mode.threads import QueueServiceThread

from worker.consumer import FetchThread


class Rebalancing:
    """A consumer whose stop waits for the app, which asks the consumer's thread."""

    def __init__(self, thread: Thread) -> None:
        self.thread = thread
        self.answer: str | None = None

    async def stop(self) -> None:
        asking = asyncio.run_coroutine_threadsafe(
            self.thread.call_thread(self.position), self.thread.parent_loop
        )
        self.answer = await asyncio.wrap_future(asking)

    async def position(self) -> str:
        return "here"


class Thread(QueueServiceThread):
    """As `FetchThread`, with another consumer."""

    def __init__(self) -> None:
        super().__init__()
        self._consumer = Rebalancing(self)

    async def on_thread_stop(self) -> None:
        await FetchThread.on_thread_stop(cast(Any, self))


async def test_a_stop_in_a_rebalance_ends() -> None:
    thread = Thread()
    await thread.start()
    await asyncio.wait_for(thread.stop(), 10)
    assert thread._consumer.answer == "here"
