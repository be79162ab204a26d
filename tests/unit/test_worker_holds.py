"""Which partitions are held, and how long a fetch waits meanwhile.

While a flow is held, fetches are brief: a partition that is released is not in the one that waits.
A flow that drained 10,000 records a second stood still for up to a second each time.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP

from tickertape.settings import Settings
from worker import TickertapeApp, holds
from worker.consumer import BRIEF_SECONDS, Consumer
from worker.holds import DEFER_SECONDS, Holds

TEXT, EMBEDDINGS = TP("text-messages", 0), TP("embeddings", 0)


class Buffers:
    """As much of a consumer as holds ask for."""

    def __init__(self) -> None:
        self.held: set[TP] = set()

    def assignment(self) -> set[TP]:
        return {TEXT, EMBEDDINGS}

    def on_buffer_full(self, tp: TP) -> None:
        self.held.add(tp)

    def on_buffer_drop(self, tp: TP) -> None:
        self.held.discard(tp)


def flow(*topics: str, wants_hold: bool = False) -> Any:
    spec = SimpleNamespace(routes=dict.fromkeys(topics))
    return SimpleNamespace(wants_hold=wants_hold, spec=spec, busy=False)


def test_the_topics_of_a_flow_are_held_as_long_as_it_wants() -> None:
    buffers, text, others = Buffers(), flow("text-messages"), flow("embeddings")
    found = Holds([text, others])
    found.apply(buffers)
    assert not buffers.held
    assert not found.holding
    text.wants_hold = True
    found.apply(buffers)
    assert buffers.held == {TEXT}
    assert found.holding
    text.wants_hold = False
    found.apply(buffers)
    assert not buffers.held
    assert not found.holding


def test_a_hold_is_applied_again_after_a_rebalance() -> None:
    buffers = Buffers()
    found = Holds([flow("text-messages", wants_hold=True)])
    found.apply(buffers)
    buffers.held.clear()
    found.apply(buffers)
    assert buffers.held == {TEXT}


def test_a_deferred_partition_is_read_again_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(holds.time, "monotonic", lambda: now)
    buffers, found = Buffers(), Holds([flow("embeddings")])
    found.defer(buffers, EMBEDDINGS)
    found.apply(buffers)
    assert buffers.held == {EMBEDDINGS}
    assert list(found.deferred) == [EMBEDDINGS]
    assert not found.holding
    now += DEFER_SECONDS
    found.apply(buffers)
    assert not buffers.held
    assert not found.deferred


@pytest.mark.parametrize(
    ("consuming", "held", "deferred", "seconds"),
    [
        (True, False, False, 1.0),
        (True, True, False, BRIEF_SECONDS),
        (True, True, True, BRIEF_SECONDS),
        (True, False, True, 1.0),
        (False, False, False, BRIEF_SECONDS),
    ],
)
async def test_how_long_a_fetch_waits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    consuming: bool,
    held: bool,
    deferred: bool,
    seconds: float,
) -> None:
    waited = []

    async def getmany(_self, timeout):  # noqa: ASYNC109
        waited.append(timeout)
        yield TEXT, "record"

    monkeypatch.setattr(FaustConsumer, "getmany", getmany)
    app = TickertapeApp(Settings(_env_file=None, data_dir=tmp_path))
    app._consuming = consuming
    app.flows.append(flow("text-messages", wants_hold=held))
    if deferred:
        app.holds.defer(Buffers(), EMBEDDINGS)
    app.holds.apply(Buffers())
    consumer = app.consumer
    assert isinstance(consumer, Consumer)
    assert [found async for found in consumer.getmany(1.0)] == [(TEXT, "record")]
    assert waited == [seconds]
