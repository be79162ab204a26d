"""The copies we make of a record: for a retry topic, as a dead letter, under its id as key.

Key, value and all original headers stay as they are; those we add say where, why, when, how often.
"""

from __future__ import annotations

import hashlib
import time
import traceback

from tickertape import headers as h
from tickertape import topics
from tickertape.errors import ErrorClass, classify
from tickertape.mask import mask_text
from tickertape.record import Outgoing, Record, text_headers

STACKTRACE_BYTES_MAX = 8192
MESSAGE_BYTES_MAX = 2048


def carried(record: Record) -> list[tuple[str, bytes | None]]:
    """Return the record's headers with its identity (origin, version) written for good.

    A count of replays that a producer forged is left out: it would park the letter.
    """
    forged = () if record.trusted else (h.REPLAYS,)
    return [
        *h.without(record.headers, h.ORIGIN, h.VERSION, *forged),
        *text_headers({h.ORIGIN: record.origin, h.VERSION: record.stamp}),
    ]


def rekeyed(record: Record, base: str, key: str) -> Outgoing:
    """Return the record with its id as key, for the internal topic of its flow."""
    headers = [*carried(record), (h.REKEYED, b"1")]
    return Outgoing(topics.rekeyed(base), key.encode(), record.value, headers)


def retry(
    record: Record, base: str, level: int, delay_seconds: float, error: Exception
) -> Outgoing:
    """Return the copy for a retry topic. Times are epoch milliseconds."""
    now = time.time()
    first = record.header(h.RETRY_FIRST) if record.trusted else None
    added = {
        h.RETRY_ATTEMPTS: level + 1,
        h.RETRY_DUE: int((now + delay_seconds) * 1000),
        h.RETRY_FIRST: first or record.timestamp_ms,
        h.DLT_EXCEPTION: _name(error),
        h.DLT_MESSAGE: _message(error),
    }
    headers = h.without(carried(record), *added)
    return Outgoing(
        topics.retry(base, level), record.key, record.value, [*headers, *text_headers(added)]
    )


def dead(
    record: Record, base: str, group: str, attempts: int, error: Exception, batch: str | None
) -> Outgoing:
    """Return the dead letter: the record's own bytes, and headers as Spring Kafka names them.

    ``attempts`` is how many retries it had.
    """
    origin = record.origin
    first = record.header(h.RETRY_FIRST) if record.trusted else None
    added = {
        h.DLT_EXCEPTION: _name(error),
        h.DLT_MESSAGE: _message(error),
        h.DLT_STACKTRACE: _stacktrace(error),
        h.DLT_TOPIC: origin.topic,
        h.DLT_PARTITION: origin.partition,
        h.DLT_OFFSET: origin.offset,
        h.DLT_TIMESTAMP: first or record.timestamp_ms,
        h.DLT_GROUP: group,
        h.RETRY_ATTEMPTS: attempts,
        h.ERROR_CLASS: classify(error).value,
        h.BATCH: batch,
    }
    headers = h.without(carried(record), *added, h.RETRY_DUE)
    # A record of neither key nor value is possible, but no producer in Python sends one.
    key = record.key or b"" if record.value is None else record.key
    return Outgoing(topics.dlq(base), key, record.value, [*headers, *text_headers(added)])


def remnant(letter: Outgoing) -> Outgoing:
    """Return what is left of a dead letter that its topic refuses: why, and where the record is.

    The value is empty, not null: replayed, that would be a delete.
    """
    own = (h.DLT_PREFIX, h.ORIGIN, h.VERSION, h.BATCH, h.ERROR_CLASS)
    headers = [(name, value) for name, value in letter.headers if name.startswith(own)]
    return Outgoing(letter.topic, letter.key, b"", headers)


def trace(letter: Outgoing) -> Outgoing:
    """Return the least that a dead letter can be: where the record is. Its key is a digest."""
    places = (h.ORIGIN, h.DLT_TOPIC, h.DLT_PARTITION, h.DLT_OFFSET, h.ERROR_CLASS)
    headers = [(name, value) for name, value in letter.headers if name in places]
    key = hashlib.sha256(letter.key or b"").hexdigest().encode()
    return Outgoing(letter.topic, key, b"", headers)


def _name(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _stacktrace(error: Exception) -> str | None:
    """A permanent error of our own says all in its message."""
    if classify(error) is ErrorClass.PERMANENT and error.__traceback__ is None:
        return None
    # More than is kept, so that a secret that the cut goes through is not in what is kept.
    text = mask_text("".join(traceback.format_exception(error))[-8 * STACKTRACE_BYTES_MAX :])
    return text.encode("utf-8", "replace")[-STACKTRACE_BYTES_MAX:].decode("utf-8", "ignore")


def _message(error: Exception) -> str:
    text = mask_text(str(error)[:MESSAGE_BYTES_MAX])
    return text.encode("utf-8", "replace")[:MESSAGE_BYTES_MAX].decode("utf-8", "ignore")
