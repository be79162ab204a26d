"""Topics as data: code, compose and ``topics create`` read them here; `flows` declares them.

Partition counts are for creation; a topic that exists keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tickertape import flows
from tickertape.flows import FLOWS, Flow
from tickertape.settings import Settings

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SEGMENT_MS = "600000"
DEAD_DAYS = 30  # how long dead letters are kept
RECORD_BYTES_MAX = 16 * 2**20  # what the topics we create take
COPY_BYTES_MAX = RECORD_BYTES_MAX + 2**16  # such a record with the headers of its dead letter


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as we create it. ``config`` is Kafka's topic configuration."""

    name: str
    partitions: int
    key: str
    purpose: str
    config: Mapping[str, str] = field(default_factory=dict)
    like: str | None = None  # takes the partition count of this topic


# What we write to and do not consume: (setting, partitions, key, purpose).
OUTPUTS = (("llm_results", 8, "id", "a summary"),)

# Small segments: compaction only touches closed ones, and readers start from the beginning.
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(16 * 2**20),
    "segment.ms": SEGMENT_MS,
    "min.cleanable.dirty.ratio": "0.1",
}


def names(settings: Settings) -> dict[str, str]:
    """Return the name of each topic by its setting (``text_messages``)."""
    outputs = {setting: getattr(settings, f"topic_{setting}") for setting, *_ in OUTPUTS}
    return {flow.setting: flow.topic(settings) for flow in flows.of(settings)} | outputs


def rekeyed(topic: str) -> str:
    """Where records of ``topic`` go that came without their id as key."""
    return f"tickertape-{topic}-rekeyed"


def retry(topic: str, level: int) -> str:
    """The retry topic of a level, from 0."""
    return f"{topic}-retry-{level}"


def dlq(topic: str) -> str:
    """The dead letter topic."""
    return f"{topic}-dlq"


def parking(topic: str) -> str:
    """Where dead letters go that were replayed too often."""
    return f"{topic}-parking"


def replays(app_id: str) -> str:
    """Which dead letters were replayed, parked or purged."""
    return f"{app_id}-replays"


def runs(app_id: str) -> str:
    """How far each ingest of a source is, and which ids the source has had."""
    return f"{app_id}-runs"


def changelog(app_id: str, table: str) -> str:
    """The changelog of a Faust table, as Faust names it."""
    return f"{app_id}-{table}-changelog"


def topics(
    names: Mapping[str, str], retries: int, app_id: str, flows: Sequence[Flow] = FLOWS
) -> list[Topic]:
    """Return every topic we need.

    ``names`` maps the setting (``text_messages``) to the topic's name; ``retries`` is the number
    of retry levels.
    """
    base = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(RECORD_BYTES_MAX),
        "retention.ms": str(7 * DAY_MS),
    }
    copies = {**base, "max.message.bytes": str(COPY_BYTES_MAX)}
    compacted = {k: v for k, v in {**base, **COMPACTED}.items() if k != "retention.ms"}
    found: list[Topic] = []
    keep = {**copies, "retention.ms": str(DEAD_DAYS * DAY_MS)}
    for flow in flows:
        name, count = names[flow.setting], flow.partitions
        config = compacted if flow.compacted else base
        if flow.hours is not None:
            short = {"retention.ms": str(flow.hours * HOUR_MS), "segment.ms": SEGMENT_MS}
            config = {**base, **short}
        found.append(Topic(name, count, flow.key, flow.purpose, config))
        if flow.rekeyed:
            what = f"internal: {name} by id"
            found.append(Topic(rekeyed(name), count, flow.key, what, copies, like=name))
        for level in range(retries if flow.retries else 0):
            what = f"{name}, retry {level}"
            found.append(Topic(retry(name, level), count, "as topic", what, copies, like=name))
        for made, what in ((dlq(name), "dead letters"), (parking(name), "parked dead letters")):
            found.append(Topic(made, count, "as topic", f"{name}, {what}", keep, like=name))
    for setting, count, key, purpose in OUTPUTS:
        found.append(Topic(names[setting], count, key, purpose, base))
    progress = names["batch_progress"]
    made = changelog(app_id, "batches")
    found.append(Topic(made, 8, "as table", "internal: the table of batches", compacted, progress))
    what = "internal: how far each ingest is, and the ids of each source"
    found.append(Topic(runs(app_id), 4, "source and run", what, compacted))
    # What a user deletes is gone from the log, too, and not only when there is much of it.
    made, turns = changelog(app_id, "history"), names["chat_turns"]
    soon = {**compacted, "max.compaction.lag.ms": str(HOUR_MS)}
    found.append(Topic(made, 8, "as table", "internal: the table of conversations", soon, turns))
    # A mark is of no use once its letter has expired.
    marks = {
        **compacted,
        "cleanup.policy": "compact,delete",
        "retention.ms": str((DEAD_DAYS + 1) * DAY_MS),
    }
    what = "internal: dead letters that were replayed, parked or purged"
    found.append(Topic(replays(app_id), 1, "letters", what, marks))
    return found
