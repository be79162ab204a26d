"""Lag, also of a partition that is held: no fetch tells where it ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from tickertape.kafka.cluster import TopicState
from tickertape.kafka.consumer import Start
from tickertape.kafka.metadata import Metadata
from tickertape.settings import Settings
from worker import TickertapeApp

TEXT, OTHER = TP("text-messages", 0), TP("embeddings", 0)


class Consumer:
    """What the last fetches told, and what the broker answers."""

    def __init__(self) -> None:
        self.asked: list[TP] = []
        self.again: list[str] = []
        self.id = "first"

    def assignment(self) -> set[TP]:
        return {TEXT, OTHER}

    def readable_to(self, _tp: TP) -> int:
        return 10

    def on_buffer_full(self, _tp: TP) -> None: ...

    async def topics_now(self, _names: Any) -> dict[str, TopicState]:
        return {tp.topic: TopicState(self.id, 1) for tp in self.assignment()}

    async def ends(self, tps: Any) -> dict[TP, int]:
        self.asked = list(tps)
        return dict.fromkeys(tps, 30)

    async def begin_again(self, topics: Any) -> None:
        self.again += topics


def working(tmp_path: Path) -> tuple[TickertapeApp, Consumer]:
    app = TickertapeApp(Settings(_env_file=None, data_dir=tmp_path))
    app.flows.append(
        cast(Any, SimpleNamespace(wants_hold=True, spec=SimpleNamespace(routes={TEXT.topic: None})))
    )
    consumer = Consumer()
    app._consumer, app._consuming = cast(Any, consumer), True
    start = Start(10, 10, Metadata(), "first", 20)
    app.begin(consumer.assignment(), dict.fromkeys(consumer.assignment(), start))
    return app, consumer


async def test_held_partitions_are_asked_for_their_ends(tmp_path: Path) -> None:
    app, consumer = working(tmp_path)
    app.holds.apply(consumer)
    await app._look(cast(Any, consumer))
    assert consumer.asked == [TEXT]
    assert app.lags() == {TEXT.topic: {0: 20}, OTHER.topic: {0: 0}}
    assert consumer.again == []


async def test_a_topic_of_another_id_begins_again(tmp_path: Path) -> None:
    app, consumer = working(tmp_path)
    consumer.id = "second"
    await app._look(cast(Any, consumer))
    assert sorted(consumer.again) == sorted([TEXT.topic, OTHER.topic])
