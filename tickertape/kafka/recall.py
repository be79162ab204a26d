"""One record, read again from where it stands."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from tickertape.kafka.clock import LOG_APPEND
from tickertape.kafka.consumer import Consumer
from tickertape.versions import Stamp

SECONDS_MAX = 10.0


async def recall(bootstrap: str, stamp: Stamp) -> Any | None:
    """Return the record that was said then and there (an aiokafka.ConsumerRecord); None where it
    is not there any more, or another is, as its topic was made anew.

    Raises:
        KafkaError: the broker does not answer.
    """
    place = stamp.place
    tp = TopicPartition(place.topic, place.partition)
    consumer = Consumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        state = (await consumer.topic_states([place.topic])).get(place.topic)
        if state is None or place.partition >= state.partitions:
            return None
        consumer.assign([tp])
        begin = (await consumer.beginning_offsets([tp]))[tp]
        end = (await consumer.end_offsets([tp]))[tp]
        if not begin <= place.offset < end:
            return None
        consumer.seek(tp, place.offset)
        async with asyncio.timeout(SECONDS_MAX):
            while (await consumer.position(tp)) <= place.offset:
                for message in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
                    if message.offset >= place.offset:
                        there = message.offset == place.offset
                        return message if there and _said_then(message, stamp) else None
        return None  # passed over: a gap of a compacted topic, an aborted transaction
    except TimeoutError as error:
        raise KafkaTimeoutError(f"{place} did not come in {SECONDS_MAX:g} s") from error
    finally:
        await consumer.stop()


def _said_then(message: Any, stamp: Stamp) -> bool:
    """By the broker's clock; a producer's says nothing for sure."""
    return bool(message.timestamp_type != LOG_APPEND or message.timestamp == stamp.ms)
