"""While a flow is held, fetches are brief: a partition that is released is not in the one that
waits. A flow that drained 10,000 records a second stood still for up to a second each time."""

from __future__ import annotations

import asyncio

import pytest
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP

from worker import BRIEF_SECONDS, Consumer, TickertapeApp

TEXT, EMBEDDINGS = TP("text-messages", 0), TP("embeddings", 0)


@pytest.mark.parametrize(
    ("consuming", "held", "rests", "seconds"),
    [
        (True, set(), {}, 1.0),
        (True, {TEXT}, {}, BRIEF_SECONDS),
        (True, {TEXT, EMBEDDINGS}, {EMBEDDINGS: 9.0}, BRIEF_SECONDS),
        (True, {EMBEDDINGS}, {EMBEDDINGS: 9.0}, 1.0),
        (False, set(), {}, BRIEF_SECONDS),
    ],
)
async def test_how_long_a_fetch_waits(
    monkeypatch: pytest.MonkeyPatch,
    consuming: bool,
    held: set[TP],
    rests: dict[TP, float],
    seconds: float,
) -> None:
    waited = []

    async def getmany(_self, timeout):  # noqa: ASYNC109
        waited.append(timeout)
        yield TEXT, "record"

    monkeypatch.setattr(FaustConsumer, "getmany", getmany)
    app = TickertapeApp.__new__(TickertapeApp)
    app._consuming, app._held, app._rests = consuming, held, rests
    consumer = Consumer.__new__(Consumer)
    consumer.app, consumer._batch = app, asyncio.Lock()
    assert [found async for found in consumer.getmany(1.0)] == [(TEXT, "record")]
    assert waited == [seconds]
