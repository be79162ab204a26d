"""Retry copies and dead letters: the record's own bytes, and headers that say what happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape import headers as h
from tickertape.delivery import copies
from tickertape.errors import InvalidRecord, TransientError
from tickertape.record import Outgoing, Record
from tickertape.versions import Origin, Stamp, Version

USERS = (
    ("traceparent", b"00-1-2-01"),
    ("dup", b"first"),
    ("empty", None),
    ("dup", b"second"),
    ("bytes", b"\xff\x00"),
)


def record(headers=USERS, *, key=b"k", value=b"\x00raw", trusted=False, offset=7) -> Record:
    topic = "t-retry-0" if trusted else "t"
    return Record(topic, 3, offset, key, value, headers, 1_790_000_000_000, trusted)


def dead(of: Record, error: Exception | None = None, attempts=0, batch=None) -> Outgoing:
    return copies.dead(of, "t", "group", attempts, error or InvalidRecord("id", "x", 1), batch)


def raised(error: Exception) -> Exception:
    """The error with a traceback."""
    try:
        raise error
    except Exception as found:
        return found


def test_a_dead_letter_says_where_why_and_when():
    letter = dead(record(), batch="b", attempts=2)
    assert (letter.topic, letter.key, letter.value) == ("t-dlq", b"k", b"\x00raw")
    wanted = {
        h.DLT_EXCEPTION: "tickertape.errors.InvalidRecord",
        h.DLT_MESSAGE: "id: expected x, got 1",
        h.DLT_TOPIC: "t",
        h.DLT_PARTITION: "3",
        h.DLT_OFFSET: "7",
        h.DLT_TIMESTAMP: "1790000000000",
        h.DLT_GROUP: "group",
        h.RETRY_ATTEMPTS: "2",
        h.ERROR_CLASS: "permanent",
        h.BATCH: "b",
        h.ORIGIN: "t/3/7",
        h.VERSION: "1790000000000.7.3.t",
    }
    assert {name: h.last(letter.headers, name) for name in wanted} == wanted
    assert h.last(letter.headers, h.DLT_STACKTRACE) is None, "the message says all"


@pytest.mark.parametrize(
    "made",
    [
        dead(record()),
        copies.retry(record(), "t", 0, 1.0, TransientError("slow")),
        copies.rekeyed(record(), "t", "id"),
    ],
    ids=["dead", "retry", "rekeyed"],
)
def test_all_original_headers_stay_in_order_with_their_duplicates(made):
    names = {name for name, _ in USERS}
    assert tuple(pair for pair in made.headers if pair[0] in names) == USERS
    assert made.value == b"\x00raw"


def test_a_retry_says_how_often_and_until_when():
    copy = copies.retry(record(), "t", 1, 30.0, TransientError("slow"))
    assert (copy.topic, copy.key) == ("t-retry-1", b"k")
    found = dict(copy.headers)
    assert found[h.RETRY_ATTEMPTS] == b"2"
    assert found[h.RETRY_FIRST] == b"1790000000000"
    assert int(found[h.RETRY_DUE]) > 1_700_000_000_000
    assert found[h.DLT_MESSAGE] == b"slow"
    again = record(copy.headers, trusted=True, offset=99)
    third = copies.retry(again, "t", 2, 60.0, TransientError("slower"))
    names = [name for name, _ in third.headers]
    assert names.count(h.RETRY_ATTEMPTS) == names.count(h.RETRY_DUE) == 1
    assert h.last(third.headers, h.RETRY_FIRST) == "1790000000000", "of the first record"
    assert h.last(third.headers, h.ORIGIN) == "t/3/7"
    letter = dead(again, TransientError("slowest"))
    assert h.last(letter.headers, h.DLT_OFFSET) == "7", "where it first stood, not on the retry"
    assert h.last(letter.headers, h.RETRY_DUE) is None, "it is not due any more"


def test_what_a_producer_forges_is_not_carried_on():
    forged = (
        (h.ORIGIN, b"other/0/0"),
        (h.VERSION, b"999999999999999.0"),
        (h.REPLAYS, b"99"),
        (h.DLT_TOPIC, b"other"),
        (h.RETRY_ATTEMPTS, b"9"),
        (h.RETRY_FIRST, b"1"),
    )
    letter = dead(record(forged))
    assert h.last(letter.headers, h.ORIGIN) == "t/3/7"
    assert h.last(letter.headers, h.VERSION) == "1790000000000.7.3.t"
    assert h.last(letter.headers, h.REPLAYS) is None
    assert h.last(letter.headers, h.DLT_TOPIC) == "t"
    assert h.last(letter.headers, h.DLT_TIMESTAMP) == "1790000000000"
    names = [name for name, _ in letter.headers]
    assert len(names) == len(set(names)), "ours replace what was there"


def test_a_stack_trace_is_there_for_what_nobody_foresaw_and_is_cut_at_its_beginning():
    short = h.last(dead(record(), raised(RuntimeError("bug"))).headers, h.DLT_STACKTRACE)
    assert short is not None
    assert short.startswith("Traceback")
    assert short.rstrip().endswith("RuntimeError: bug")
    long = dead(record(), raised(RuntimeError("\u20ac" * 5000 + "at last")))
    trace = dict(long.headers)[h.DLT_STACKTRACE]
    assert trace is not None
    assert 8180 < len(trace) <= 8192
    assert trace.decode().rstrip().endswith("\u20acat last")


def test_a_message_keeps_its_beginning():
    letter = dead(record(), InvalidRecord("metadata", "x" + "\u20ac" * 5000))
    message = dict(letter.headers)[h.DLT_MESSAGE]
    assert message is not None
    assert message.decode().startswith("metadata: expected x\u20ac")
    assert len(message) <= copies.MESSAGE_BYTES_MAX


def test_no_secret_of_an_address_is_in_message_or_trace():
    error = raised(RuntimeError("cannot reach postgresql://me:hunter2@db/x?password=hunter3"))
    text = str(dead(record(), error).headers)
    assert "hunter" not in text
    assert "postgresql://me:***@db" in text


def test_lone_surrogates_in_a_message_are_no_error():
    assert "?" in (h.last(dead(record(), RuntimeError("\ud800")).headers, h.DLT_MESSAGE) or "")


def test_a_record_of_nothing_gets_a_key_that_producers_take():
    assert dead(record(key=None, value=None)).key == b""
    assert dead(record(key=None, value=b"v")).key is None
    assert dead(record(key=b"k", value=None)).value is None, "a tombstone stays one"


def test_of_a_letter_that_is_refused_the_reason_and_the_place_remain():
    letter = dead(record(((("x" * 100), b"x" * 10_000), *USERS)), batch="b")
    left = copies.remnant(letter)
    assert (left.topic, left.key, left.value) == ("t-dlq", b"k", b"")
    for name in (h.DLT_MESSAGE, h.DLT_TOPIC, h.DLT_OFFSET, h.ORIGIN, h.BATCH, h.ERROR_CLASS):
        assert h.last(left.headers, name) == h.last(letter.headers, name)
    assert sum(len(name) + len(value or b"") for name, value in left.headers) < 1000


def test_rekeyed_records_keep_who_they_are():
    copy = copies.rekeyed(record(), "t", "17\ufffd")
    assert (copy.topic, copy.key) == ("tickertape-t-rekeyed", "17\ufffd".encode())
    found = Record("tickertape-t-rekeyed", 0, 55, copy.key, copy.value, copy.headers, 2, True)
    assert found.origin == Origin("t", 3, 7)
    assert found.version == Version((), Stamp(1_790_000_000_000, 7, 3, "t"))
    assert h.last(copy.headers, h.REKEYED) == "1"


@given(
    st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=8),
    st.integers(1, 5),
)
def test_identity_and_foreign_headers_survive_any_number_of_retries(headers, times):
    ours = (h.ORIGIN, h.VERSION, h.REPLAYS, h.RETRY_DUE, h.RETRY_FIRST, h.RETRY_ATTEMPTS)
    at = record(tuple(headers))
    for level in range(times):
        copy = copies.retry(at, "t", level, 1.0, TransientError("again"))
        at = Record(copy.topic, 0, 10 + level, copy.key, copy.value, copy.headers, 9, True)
    letter = dead(at, TransientError("at last"), attempts=times)
    assert at.origin == Origin("t", 3, 7)
    assert h.last(letter.headers, h.DLT_OFFSET) == "7"
    foreign = [pair for pair in headers if pair[0] not in ours and "dlt" not in pair[0]]
    kept = [pair for pair in letter.headers if pair in foreign]
    assert kept == foreign
