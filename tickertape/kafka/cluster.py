"""What a topic is now: its id, which no other topic ever has, and its number of partitions.

A topic that was deleted and made anew has the same name and other records: only the id tells.
aiokafka's own metadata requests are older than ids.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

METADATA = 3
ID_BYTES = 16
NO_ID = uuid.UUID(int=0)


class Uuid(AbstractType[uuid.UUID]):  # type: ignore[misc]
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(ID_BYTES))


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = METADATA
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = METADATA
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("id", Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]
    API_KEY = METADATA

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [
            (NO_ID, name, {}) for name in topics
        ]

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, False, False, {})


@dataclass(frozen=True, slots=True)
class TopicState:
    """``id`` is a UUID as text."""

    id: str
    partitions: int


async def topic_states(client: Any, names: Iterable[str]) -> dict[str, TopicState]:
    """Ask the broker now. A topic that does not exist, or not yet everywhere, is left out; all are
    where the broker is too old to say (before Kafka 2.8).

    Raises:
        KafkaError: no broker answers.
    """
    try:
        response = await client.send(client.get_random_node(), _MetadataRequest(names))
    except (NotImplementedError, IncompatibleBrokerVersion):
        return {}
    return {
        name: TopicState(str(id), len(partitions))
        for error, name, id, _, partitions, *_ in response.topics
        if error == 0 and id != NO_ID
    }


async def assigned(coordinator: Any) -> dict[str, set[int]]:
    """Return the partitions that the members of a consumer's group have, by topic.

    Raises:
        KafkaError: the coordinator does not answer, or cannot say.
    """
    await coordinator.ensure_coordinator_known()
    response = await coordinator._send_req(DescribeGroupsRequest([coordinator.group_id], False))
    found: dict[str, set[int]] = defaultdict(set)
    for error, _, state, _, _, members, *_ in response.groups:
        if error:
            raise for_code(error)
        if state != "Stable":
            raise KafkaError(f"the group is {state}")
        for *_, assignment in members:
            held = ConsumerProtocolMemberAssignment.decode(BytesIO(assignment))
            for tp in held.partitions():
                found[tp.topic].add(tp.partition)
    return found


def unread(states: Mapping[str, TopicState], held: Mapping[str, set[int]]) -> list[str]:
    """Return the topics that members of the group read, but not all of."""
    return [
        name
        for name, have in held.items()
        if name in states and len(have) < states[name].partitions
    ]
