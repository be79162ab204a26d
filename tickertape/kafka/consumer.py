"""The consumer that everything of ours reads with."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer

from tickertape.kafka import batches

# A topic's new partitions are read after so long at the latest, and twice that for a group's leader
METADATA_AGE_MS = 10_000

batches.install()


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's, but for what it reads: see `tickertape.kafka.batches`.

    Records of aborted transactions are left out, and a topic's new partitions are noticed soon.
    """

    def __init__(self, *topics: str, **options: Any) -> None:
        super().__init__(
            *topics,
            **{
                "isolation_level": "read_committed",
                "metadata_max_age_ms": METADATA_AGE_MS,
                **options,
            },
        )
