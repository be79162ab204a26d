"""Dead letters on a real broker: the fixture ``system``, to be imported where it is used."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result

from testkit.broker import Broker, create_topic, topic_settings, unique, worker_env
from tickertape import kafka_admin, topics
from tickertape import settings as settings_module
from tickertape.cli import dlq
from tickertape.delivery.copies import dead
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.dlq.box import DeadLetters
from tickertape.dlq.letter import Letter
from tickertape.errors import InvalidRecord
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings

ROOT = Path(__file__).parents[1]
PARTITIONS = 3


def _heed_interrupts() -> None:
    """A shell's background job ignores SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class System:
    """Topics of this test, and a producer."""

    settings: Settings
    env: dict[str, str]
    publisher: KafkaPublisher

    @property
    def text(self) -> str:
        return self.settings.topic_text_messages

    @property
    def dlq(self) -> str:
        return topics.dlq(self.text)

    def box(self) -> DeadLetters:
        return DeadLetters(self.settings, self.publisher.send)

    async def die(
        self,
        *values: bytes | None,
        base: str | None = None,
        batch: str | None = "b",
        error: Exception | None = None,
        partition: int | None = None,
        keys: Sequence[bytes] | None = None,
    ) -> None:
        """Let records die as their flow would; the key is d0, d1, ..."""
        base = base or self.text
        error = error or InvalidRecord("text", "a non-empty string")
        letters: list[Outgoing] = []
        for n, value in enumerate(values):
            key = keys[n] if keys else b"d%d" % n
            record = Record(base, 0, n, key, value, (("x", b"1"),), 1000 + n)
            letter = dead(record, base, "g", 0, error, batch)
            letters.append(
                Outgoing(letter.topic, letter.key, letter.value, letter.headers, partition)
            )
        await self.send(letters)

    async def send(self, records: Sequence[Outgoing]) -> None:
        for start in range(0, len(records), 500):
            errors = await self.publisher.send(records[start : start + 500])
            assert [error for error in errors if error is not None] == []

    async def run(self, *arguments: str, code: int = 0, brokers: str | None = None) -> Result:
        """Run ``dlq ...`` in a thread, as an event loop of its own."""
        settings = self.settings
        if brokers is not None:
            settings = settings.model_copy(update={"brokers": brokers})
        (command,) = dlq.commands(lambda: settings)
        found = await asyncio.to_thread(CliRunner().invoke, command, arguments)
        assert found.exit_code == code, (found.output, found.exception)
        assert "Traceback" not in found.output
        return found

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start ``faust -A app dlq ...``, a process of its own."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "faust", "-A", "app", "dlq", *arguments)
        return await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=self.env, stdout=pipe, stderr=pipe, preexec_fn=_heed_interrupts
        )

    async def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads((await self.run(*arguments, "--json", code=code)).stdout)

    async def ids(self, *arguments: str) -> list[str]:
        return [letter["id"] for letter in await self.json("list", *arguments)]

    async def open_count(self) -> int:
        return await self.box().open_count()

    async def read(self, topic: str) -> list[Any]:
        """All records of a topic."""
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            found: list[Any] = []
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for messages in (await consumer.getmany(timeout_ms=100)).values():
                    found += messages
            return found
        finally:
            await consumer.stop()

    async def begins(self, topic: str) -> list[int]:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.settings.bootstrap)
        await consumer.start()
        try:
            places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
            found = await consumer.beginning_offsets(places)
            return [found[place] for place in places]
        finally:
            await consumer.stop()


@pytest.fixture
async def system(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[System]:
    env = {
        **worker_env(broker, tmp_path / "data"),
        **topic_settings(),
        "TICKERTAPE_APP_ID": unique("app"),
        "TICKERTAPE_REPLAYS_MAX": "2",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = settings_module.load(tmp_path)
    await create_topic(broker.bootstrap, settings.topic_text_messages, PARTITIONS)
    family = {settings.topic_text_messages, settings.topic_embeddings}
    ours = {settings.topic_batch_progress, topics.replays(settings.app_id)}
    wanted = [
        one
        for one in kafka_admin.wanted(settings)
        if one.name in family | ours or one.like in family
    ]
    # An operator may have given the marks' topic another count.
    await create_topic(broker.bootstrap, topics.replays(settings.app_id), PARTITIONS)
    (await kafka_admin.ensure(broker.bootstrap, wanted)).raise_for_errors()
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        yield System(settings, env, publisher)
    finally:
        await publisher.stop()


def value(n: int, **more: Any) -> bytes:
    return json.dumps({"id": f"d{n}", "text": n, **more}).encode()


def everything(_letter: Letter) -> bool:
    return True
