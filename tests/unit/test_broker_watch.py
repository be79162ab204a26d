"""A broker that does not answer is said after ten seconds, and once a minute."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from tickertape import metrics
from tickertape.kafka import watch
from tickertape.kafka.watch import BrokerWatch


class Broker:
    answers = True
    revived = 0

    def __init__(self) -> None:
        self.now = 0.0
        self.watch = BrokerWatch("kafka:9092", self.ask, self.revive, lambda: self.now)

    async def ask(self) -> bool:
        if not self.answers:
            raise ConnectionError("nobody")
        return True

    async def revive(self) -> None:
        self.revived += 1

    async def at(self, now: float) -> str:
        self.now = now
        await self.watch.turn()
        return self.watch.reason


def up() -> float:
    (family,) = metrics.broker_up.collect()
    return family.samples[0].value


async def test_silence_is_said_after_ten_seconds_and_once_a_minute() -> None:
    broker = Broker()
    with structlog.testing.capture_logs() as lines:
        assert await broker.at(0) == ""
        broker.answers = False
        assert await broker.at(3) == ""
        assert await broker.at(9) == ""
        assert up() == 1
        assert await broker.at(12) == "no broker answers at kafka:9092, for 12 s"
        assert up() == 0
        for now in range(15, 75, 3):
            await broker.at(now)
        broker.answers = True
        assert await broker.at(75) == ""
    assert [line["event"] for line in lines] == ["broker_down", "broker_down", "broker_back"]
    assert up() == 1
    assert broker.revived == 23  # at each question that nobody answered


async def test_one_that_hangs_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ANSWER_SECONDS_MAX", 0.01)
    broker = Broker()
    broker.watch._ask = lambda: asyncio.sleep(60, True)
    assert await broker.at(11) != ""
