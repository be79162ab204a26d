"""``read``: what is on a topic, for people or for programs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import click
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from tickertape.broker import reading
from tickertape.cli import naming
from tickertape.cli.failure import one_line
from tickertape.cli.showing import Shown, as_json, pretty
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import Brokers, brokers_of, client
from tickertape.kafka.consumer import Consumer
from tickertape.settings import Settings

POLL_MS = 500


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``read``. Exit codes: 0 done, 1 failed, 2 wrong usage."""

    @click.command("read")
    @click.argument("topic")
    @click.option("--max-messages", type=click.IntRange(1), help="Stop after so many.")
    @click.option(
        "--from-beginning/--latest",
        default=True,
        show_default=True,
        help="All that is there, or only what comes from now on.",
    )
    @click.option("--follow", is_flag=True, help="Wait for more; --latest always does.")
    @click.option("--json", "in_json", is_flag=True, help="A JSON object a record.")
    def command(
        topic: str, max_messages: int | None, from_beginning: bool, follow: bool, in_json: bool
    ) -> None:
        """Print the records of TOPIC: any topic of the broker. Secrets are masked.

        Ends where the topic ends, unless it is followed. Nothing is committed: reading does not
        disturb the workers.
        """
        with one_line():
            settings = load_settings()
            name, kind = naming.find(settings, topic)

            async def run() -> None:
                await naming.check_exists(brokers_of(settings), name)
                left = max_messages
                found = records(brokers_of(settings), name, from_beginning, follow)
                async with contextlib.aclosing(found):
                    async for record in found:
                        click.echo(as_json(record) if in_json else pretty(record, kind))
                        left = None if left is None else left - 1
                        if left == 0:
                            return

            with reading(settings):
                asyncio.run(run())

    return [command]


async def records(
    at: Brokers | str, topic: str, from_beginning: bool, follow: bool
) -> AsyncGenerator[Shown, None]:
    """Yield the records of all partitions, each partition's in order.

    From the beginning to where each partition ends now, and on where ``follow``; else only what
    comes from now on.

    Raises:
        BrokerError: the broker stops answering.
    """
    consumer = Consumer(
        topic,  # without a group, all its partitions are ours
        **client(at),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        try:
            await consumer.start()
            places = sorted(consumer.assignment())
            ends = await consumer.end_offsets(places)
            if from_beginning:
                await consumer.seek_to_beginning(*places)
            else:
                for place, end in ends.items():
                    consumer.seek(place, end)
            while follow or not from_beginning or not await _read(consumer, ends):
                for messages in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for m in messages:
                        yield Shown(
                            m.topic, m.partition, m.offset, m.timestamp, m.key, m.value, m.headers
                        )
        except KafkaError as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BrokerError(f"{topic} cannot be read from {at}: {reason}") from error
    finally:
        await consumer.stop()


async def _read(consumer: Consumer, ends: dict[TopicPartition, int]) -> bool:
    """Whether each partition was read to where it ended, also where its end was compacted."""
    for place, end in ends.items():
        if await consumer.position(place) < end:
            return False
    return True
