"""Topics on the broker: create what is missing, say what differs. Never changes a topic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, for_code
from aiokafka.protocol.admin import DeleteGroupsRequest

from tickertape import flows, topics
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import Brokers, client, refusal, unreachable
from tickertape.kafka.consumer import Consumer
from tickertape.settings import Settings
from tickertape.stores import STORES
from tickertape.topics import Topic

CONNECT_SECONDS_MAX = 8.0
REQUEST_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1
REPLICAS_MAX = 3
LEVELS_MAX = 32  # of retries that are looked for
TOPIC_ALREADY_EXISTS = 36
NON_EMPTY_GROUP = 68
GROUP_ID_NOT_FOUND = 69
# Where the broker's value is no use to us: records mixed up by a producer's clock, a compacted
# topic that grows for ever, or one that loses its keys.
BREAKING_CONFIG = frozenset({"cleanup.policy", "message.timestamp.type"})


@dataclass(frozen=True, slots=True)
class Difference:
    """``what`` is ``missing``, ``partitions`` or the name of a topic setting.

    ``breaks``: Tickertape does not work right with it; else it is only worth knowing, as an
    existing topic keeps what its owner gave it.
    """

    topic: str
    what: str
    expected: str
    found: str
    breaks: bool

    def __str__(self) -> str:
        if self.what == "missing":
            return f"{self.topic}: missing, expected {self.expected} partitions"
        return f"{self.topic}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Report:
    """``errors`` has one line a topic that could not be created; ``partitions`` has the number
    of every topic that is there now."""

    created: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    partitions: dict[str, int] = field(default_factory=dict)

    def raise_for_errors(self) -> Report:
        """Return the report itself.

        Raises:
            BrokerError: the first error, and how many more there are.
        """
        if self.errors:
            more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            raise BrokerError(f"{self.errors[0]}{more}")
        return self


def wanted(settings: Settings) -> list[Topic]:
    """Return every topic we need, under its configured name."""
    return topics.topics(
        topics.names(settings),
        len(settings.retry_delays_seconds),
        settings.app_id,
        flows.of(settings),
    )


async def ensure(at: Brokers | str, wanted: Sequence[Topic]) -> Report:
    """Create the topics that are missing, and wait until they can be written to.

    A topic that belongs to another one (``like``) is made after it, with the partition count
    that one has. Two workers may do this at the same time.

    Raises:
        BrokerError: the brokers cannot be reached, or stop answering.
    """
    report = Report()
    async with _admin(at) as admin:
        replicas = min(REPLICAS_MAX, len((await admin.describe_cluster())["brokers"]))
        first = [topic for topic in wanted if topic.like is None]
        for group in (first, [topic for topic in wanted if topic.like is not None]):
            await _create(admin, group, replicas, report)
    return report


async def _create(
    admin: AIOKafkaAdminClient, wanted: Sequence[Topic], replicas: int, report: Report
) -> None:
    found = await _partitions(admin)
    report.existing.extend(topic.name for topic in wanted if topic.name in found)
    missing = [topic for topic in wanted if topic.name not in found]
    if missing:
        new = [
            NewTopic(topic.name, _count(topic, found), replicas, None, dict(topic.config))
            for topic in missing
        ]
        reply = await admin.create_topics(new, timeout_ms=int(REQUEST_SECONDS_MAX * 1000))
        for name, code, message, *_ in reply.topic_errors:
            if code in {0, TOPIC_ALREADY_EXISTS}:
                (report.existing if code else report.created).append(name)
            else:
                reason = message or for_code(code).__name__
                report.errors.append(f"{name}: cannot be created: {' '.join(reason.split())}")
        await _wait_leaders(admin, [*report.created, *report.existing])
        found = await _partitions(admin)
    report.partitions.update({t.name: found[t.name] for t in wanted if t.name in found})


async def check(at: Brokers | str, wanted: Sequence[Topic]) -> list[Difference]:
    """Return what differs between the topics as they are and as we would create them.

    Raises:
        BrokerError: the brokers cannot be reached, or stop answering.
    """
    async with _admin(at) as admin:
        found = await _partitions(admin)
        there = [topic for topic in wanted if topic.name in found]
        configs = await _configs(admin, there)
    different = []
    for topic in wanted:
        expected = _count(topic, found)
        if topic.name not in found:
            different.append(Difference(topic.name, "missing", str(expected), "", breaks=True))
            continue
        if (count := found[topic.name]) != expected:
            derived = topic.like is not None  # its records and its topic's must agree
            different.append(
                Difference(topic.name, "partitions", str(expected), str(count), breaks=derived)
            )
        for key, value in topic.config.items():
            actual = configs[topic.name].get(key, "")
            if actual != value:
                breaks = key in BREAKING_CONFIG or _smaller(key, actual, value)
                different.append(Difference(topic.name, key, value, actual, breaks=breaks))
    return different


async def left_over(at: Brokers | str, settings: Settings) -> list[tuple[str, int]]:
    """Return (topic, level) of retry topics of levels that the settings had once, and no more.
    What waits there is still read.

    Raises:
        BrokerError: the brokers cannot be reached, or stop answering.
    """
    async with _admin(at) as admin:
        found = await _partitions(admin)
    levels = len(settings.retry_delays_seconds)
    bases = [flow.topic(settings) for flow in flows.of(settings) if flow.retries]
    return [
        (base, level)
        for base in bases
        for level in range(levels, LEVELS_MAX)
        if topics.retry(base, level) in found
    ]


async def empty(at: Brokers | str, names: Sequence[str]) -> list[str]:
    """Return those of these topics that never had a record.

    Raises:
        BrokerError: no broker answers.
    """
    if not names:
        return []
    consumer = Consumer(*names, **client(at))
    try:
        await consumer.start()
        ends = await consumer.end_offsets(consumer.assignment())
    except (KafkaError, OSError) as error:
        raise BrokerError(f"{', '.join(names)} cannot be looked at: {error!r}") from error
    finally:
        await consumer.stop()
    used = {tp.topic for tp, end in ends.items() if end}
    return [name for name in names if name not in used]


async def committed_by(at: Brokers | str, group: str) -> dict[TopicPartition, int]:
    """Return the offsets that a group has committed, of the partitions where it has.

    Raises:
        BrokerError: the brokers cannot be reached, or stop answering.
    """
    async with _admin(at) as admin:
        try:
            found = await admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            return {}  # a broker that has had no group yet
    return {tp: at.offset for tp, at in found.items() if at.offset >= 0}


async def waiting(at: Brokers | str, group: str, topic: str) -> AsyncGenerator[Any, None]:
    """Yield the records that a group has still to read of a topic.

    Raises:
        BrokerError: no broker answers.
    """
    committed = await committed_by(at, group)
    consumer = Consumer(topic, **client(at), auto_offset_reset="earliest")
    try:
        await consumer.start()
        tps = consumer.assignment()
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        for tp in tps:
            consumer.seek(tp, min(max(committed.get(tp, 0), begins[tp]), ends[tp]))
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for messages in (await consumer.getmany(timeout_ms=200)).values():
                for message in messages:
                    yield message
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(f"{topic} cannot be read: {error!r}") from error
    finally:
        await consumer.stop()


async def followers_left(at: Brokers | str, settings: Settings) -> list[str]:
    """Return the topics of stores that followed the first once, and do not now.

    Raises:
        BrokerError: the brokers cannot be reached, or stop answering.
    """
    async with _admin(at) as admin:
        found = await _partitions(admin)
    known = [flows.follower(store).topic(settings) for store in STORES]
    named = {flow.topic(settings) for flow in flows.of(settings)}
    return [topic for topic in known if topic in found and topic not in named]


async def wait_for_groups(at: Brokers | str, group: str) -> None:
    """Wait until consumer groups can be joined: a new broker makes their topic at first use."""
    async with _admin(at) as admin:
        async with asyncio.timeout(REQUEST_SECONDS_MAX):
            while True:
                try:
                    await admin.find_coordinator(group)
                    return
                except KafkaError:
                    await asyncio.sleep(POLL_SECONDS)


async def workers(at: Brokers | str, group: str) -> int:
    """Return how many workers are in the group now.

    Raises:
        BrokerError: no broker answers.
    """
    async with _admin(at) as admin:
        try:
            (answer,) = await admin.describe_consumer_groups([group])
            (_, _, _, _, _, members, *_) = answer.groups[0]
        except GroupCoordinatorNotAvailableError:
            return 0  # a broker that has had no group yet
        except KafkaError as error:
            raise BrokerError(f"{group} cannot be asked for: {type(error).__name__}") from error
    return len(members)


async def forget_groups(at: Brokers | str, groups: Iterable[str]) -> list[str]:
    """Delete what consumer groups have committed; return those that there were.

    Raises:
        BrokerError: no broker answers, or a group has members.
    """
    forgotten = []
    async with _admin(at) as admin:
        for group in groups:
            try:
                node = await admin.find_coordinator(group)
                answer = await admin._send_request(DeleteGroupsRequest([group]), node)
            except GroupCoordinatorNotAvailableError:
                continue  # a broker that has had no group yet
            except KafkaError as error:
                raise BrokerError(f"{group} cannot be deleted: {type(error).__name__}") from error
            ((_, code),) = answer.results
            if code == NON_EMPTY_GROUP:
                raise BrokerError(f"workers of {group} run: stop them first")
            if code not in {0, GROUP_ID_NOT_FOUND}:
                raise BrokerError(f"{group} cannot be deleted: {for_code(code).__name__}")
            if not code:
                forgotten.append(group)
    return forgotten


async def reach(at: Brokers | str) -> None:
    """Ask whether a broker answers.

    Raises:
        BrokerError: none does.
    """
    async with _admin(at):
        pass


def _count(topic: Topic, found: Mapping[str, int]) -> int:
    """The partitions it should have: those of the topic it belongs to, as that one is."""
    return topic.partitions if topic.like is None else found.get(topic.like, topic.partitions)


def _smaller(key: str, actual: str, value: str) -> bool:
    """A record that we accept would be refused by the topic."""
    return key == "max.message.bytes" and (not actual.isdigit() or int(actual) < int(value))


@asynccontextmanager
async def _admin(at: Brokers | str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client; Kafka's errors become one line."""
    admin = AIOKafkaAdminClient(**client(at), request_timeout_ms=int(REQUEST_SECONDS_MAX * 1000))
    try:
        with refusal() as said:
            try:
                await asyncio.wait_for(admin.start(), CONNECT_SECONDS_MAX)
            except (KafkaError, OSError, TimeoutError):
                raise BrokerError(unreachable(at, said)) from None
        try:
            yield admin
        except (KafkaError, OSError, TimeoutError, AttributeError) as error:
            # AttributeError: the client's own, where the cluster has no controller.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BrokerError(f"the broker at {at} failed: {reason[:200]}") from error
    finally:
        await admin.close()


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """All topics. Asking by name would create them where the broker does that by itself."""
    return {topic["topic"]: len(topic["partitions"]) for topic in await _described(admin)}


async def _described(admin: AIOKafkaAdminClient) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = await admin.describe_topics()
    return described


async def _configs(admin: AIOKafkaAdminClient, asked: Sequence[Topic]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, dict(topic.config)) for topic in asked
    ]
    for reply in await admin.describe_configs(resources) if resources else []:
        for code, message, _, name, entries in reply.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
            found[name] = {entry[0]: entry[1] or "" for entry in entries}
    return found


async def _wait_leaders(admin: AIOKafkaAdminClient, names: Iterable[str]) -> None:
    """The controller has made them; the brokers hear of it a moment later."""
    async with asyncio.timeout(REQUEST_SECONDS_MAX):
        waiting = set(names)
        while waiting:
            for topic in await _described(admin):
                parts = topic["partitions"]
                if not topic["error_code"] and parts and all(p["leader"] >= 0 for p in parts):
                    waiting.discard(topic["topic"])
            if waiting:
                await asyncio.sleep(POLL_SECONDS)
