"""Letters put away. Where a partition's oldest letters all go, Kafka deletes them now; others are
marked, so that nothing lists or replays them, and expire with their topic's retention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from tickertape.errors import BrokerError
from tickertape.kafka.brokers import Brokers, client
from tickertape.ranges import Ranges

REQUEST_TIMEOUT_MS = 20_000


@dataclass(slots=True)
class Going:
    """What goes of one partition: ``deleted`` letters, all before an offset, and ``hidden`` ones.

    Letters are seen in their order; a run of them takes two numbers.
    """

    delete_before: int = 0
    deleted: int = 0
    _whole: bool = True  # all letters so far go, or were purged before
    _hidden: list[tuple[int, int]] = field(default_factory=list)

    def see(self, offset: int, goes: bool, purged: bool) -> None:
        """Take the next letter of the partition."""
        self._whole = self._whole and (goes or purged)
        if self._whole:
            self.deleted += goes
            self.delete_before = offset + 1
        elif goes:
            self.hide(offset)

    def hide(self, offset: int) -> None:
        """Mark it only."""
        self._whole = False
        if self._hidden and self._hidden[-1][1] == offset:
            self._hidden[-1] = (self._hidden[-1][0], offset + 1)
        else:
            self._hidden.append((offset, offset + 1))

    @property
    def hidden(self) -> Ranges:
        """Offsets of the letters that are only marked."""
        return Ranges(self._hidden)


async def delete_before(at: Brokers | str, offsets: Mapping[tuple[str, int], int]) -> None:
    """Delete the records of partitions before an offset, for good.

    Raises:
        BrokerError: the broker cannot be reached, or refuses.
    """
    admin = AIOKafkaAdminClient(**client(at), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        await admin.delete_records(
            {TopicPartition(*where): RecordsToDelete(at) for where, at in offsets.items()}
        )
    except (KafkaError, OSError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BrokerError(f"letters could not be deleted at {at}: {reason[:200]}") from error
    finally:
        await admin.close()
