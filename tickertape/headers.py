"""Header names, and reading them. Names on retries and dead letters follow Spring Kafka.

Ours travel with a record through re-key, retry, dead letter and replay; they are believed only
on topics that are ours (a producer may forge anything on its own topic).
"""

from __future__ import annotations

from collections.abc import Sequence

from tickertape.versions import Origin, Stamp, digits

# Spring Kafka's, as UTF-8 text
DLT_EXCEPTION = "kafka_dlt-exception-fqcn"
DLT_MESSAGE = "kafka_dlt-exception-message"
DLT_STACKTRACE = "kafka_dlt-exception-stacktrace"
DLT_TOPIC = "kafka_dlt-original-topic"
DLT_PARTITION = "kafka_dlt-original-partition"
DLT_OFFSET = "kafka_dlt-original-offset"
DLT_TIMESTAMP = "kafka_dlt-original-timestamp"
DLT_GROUP = "kafka_dlt-original-consumer-group"
RETRY_ATTEMPTS = "retry_topic-attempts"
RETRY_DUE = "retry_topic-backoff-timestamp"  # epoch milliseconds
RETRY_FIRST = "retry_topic-original-timestamp"

# Ours
ORIGIN = "tickertape-origin"  # topic/partition/offset of the first record
VERSION = "tickertape-version"  # when it was first said: ms.offset.partition.topic
BATCH = "tickertape-batch"  # the batch of a record whose payload could not be read
REKEYED = "tickertape-rekeyed"  # stops loops
FORCE = "tickertape-force"  # compute again although nothing changed
REPLAYS = "tickertape-replays"  # how often a dead letter was replayed
EDITED = "tickertape-edited"  # its payload was edited for a replay
EDITED_FROM = "tickertape-edited-from"  # topic/partition/offset of the letter that was edited
ERROR_CLASS = "tickertape-error-class"
OWN = "tickertape-own"  # we wrote this record and it is stored already
UNREADABLE = "tickertape-unreadable"  # why a piece of a source could not be read: it is dead
TRACEPARENT = "traceparent"

DLT_PREFIX = "kafka_dlt-"
RETRY_PREFIX = "retry_topic-"

Headers = Sequence[tuple[str, bytes | None]]


def last(headers: Headers, name: str) -> str | None:
    """Return the last header of this name as text, or None."""
    for key, value in reversed(headers):
        if key == name and value is not None:
            return value.decode("utf-8", "replace")
    return None


def without(headers: Headers, *names: str) -> list[tuple[str, bytes | None]]:
    """Return the headers less these names; duplicates of others are kept."""
    return [(key, value) for key, value in headers if key not in names]


def shown(name: str) -> str:
    """Return a header's name for reading: bytes that are no UTF-8 as escapes (``\\xff``)."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_origin(headers: Headers) -> Origin | None:
    """Return the origin, None where it is absent or unreadable."""
    return Origin.parse(last(headers, ORIGIN) or "")


def read_stamp(headers: Headers) -> Stamp | None:
    """Return when the record was first said, None where that is absent or unreadable."""
    stamp = Stamp.parse(last(headers, VERSION) or "")
    if stamp is not None and not stamp.topic and (origin := read_origin(headers)) is not None:
        return Stamp(stamp.ms, stamp.offset, origin.partition, origin.topic)  # as it was written
    return stamp


def trace(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Return the headers that carry the trace on to what we make of a record."""
    return [(key, value) for key, value in headers if key == TRACEPARENT]


def read_int(headers: Headers, name: str, default: int = 0) -> int:
    """Return a header that holds an integer >= 0, else the default."""
    text = last(headers, name)
    return int(text) if text is not None and digits(text) else default
