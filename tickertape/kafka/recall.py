"""One record, read again from where it stands."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition

from tickertape.kafka.consumer import Consumer
from tickertape.versions import Origin

SECONDS_MAX = 10.0


async def recall(bootstrap: str, place: Origin) -> Any | None:
    """Return the record (an aiokafka.ConsumerRecord); None where it is not there any more.

    Raises:
        KafkaError: the broker does not answer.
    """
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
                        return message if message.offset == place.offset else None
        return None  # passed over: a gap of a compacted topic, an aborted transaction
    except TimeoutError:
        return None
    finally:
        await consumer.stop()
