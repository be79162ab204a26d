"""Whatever bytes a fetch brings: what can be read comes, and what cannot costs itself."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testkit.raw_batches import COUNT_AT, CRC_AT, LAST_AT, batch, signed, with_payload
from tickertape.kafka import consumer, inflate
from tickertape.kafka.batches import Batches, PartitionRecords

TP = TopicPartition("t", 0)
BAD_NAME = b"\xff\xfe-bad"
CODECS = range(5)

assert consumer  # it puts our decompression into aiokafka


def reader(data: bytes, at: int = 0, aborted: Any = None, isolation: int = 1) -> PartitionRecords:
    return PartitionRecords(TP, Batches(data), aborted, at, None, None, True, isolation)


def values(data: bytes, at: int = 0) -> tuple[list[bytes | None], int]:
    """Return the values read, and where the next fetch begins."""
    found = reader(data, at)
    return [record.value for record in found], found.next_fetch_offset


def one(value: bytes, base: int, codec: int = 0) -> bytes:
    return batch([(b"k", value, [])], base, codec)


@pytest.mark.parametrize("codec", CODECS)
def test_a_header_name_of_any_bytes_is_read_as_it_is(codec: int) -> None:
    headers = [(b"a", b"1"), (BAD_NAME, b"\xff"), (b"none", None), (BAD_NAME, b"")]
    raw = batch([(b"k", b"before", []), (b"k", b"bad", headers), (b"k", b"after", [])], 7, codec)
    found = list(reader(raw, 7))
    assert [(record.offset, record.value) for record in found] == [
        (7, b"before"),
        (8, b"bad"),
        (9, b"after"),
    ]
    names = [(name.encode("utf-8", "surrogateescape"), value) for name, value in found[1].headers]
    assert names == headers
    assert found[1].timestamp == 1_700_000_000_000


@pytest.mark.parametrize("at", [7, 8, 9])
def test_a_fetch_may_begin_within_a_batch(at: int) -> None:
    raw = batch([(b"k", b"%d" % n, [(BAD_NAME, b"")]) for n in (7, 8, 9)], 7)
    assert values(raw, at) == ([b"%d" % n for n in range(at, 10)], 10)


def broken() -> Iterator[tuple[str, bytes]]:
    """Batches of offsets 1 and 2 that cannot be read."""
    whole = bytearray(batch([(b"k", b"x", []), (b"k", b"y", [])], 1))
    wrong = bytearray(whole)
    wrong[-1] ^= 1
    yield "checksum", bytes(wrong)
    for codec in (1, 2, 3, 4, 5, 7):
        yield f"codec {codec}", with_payload(b"no such data", codec, 2, 1)
    cut = bytearray(with_payload(gzip.compress(b"x" * 100)[:-9], 1, 2, 1))
    yield "gzip that ends too soon", bytes(cut)
    unknown = bytearray(whole)
    unknown[16] = 9
    yield "format", bytes(unknown)
    yield "records of wrong length", with_payload(b"\x7f\x00\x00", 0, 2, 1)
    yield "no records", with_payload(b"", 0, 2, 1)


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in broken()])
def test_a_batch_that_cannot_be_read_costs_itself(raw: bytes) -> None:
    assert values(one(b"first", 0) + raw + one(b"last", 3)) == ([b"first", b"last"], 4)
    found, after = values(raw, 1)  # nothing follows: the next fetch is never the same one
    assert found == []
    assert after in (2, 3)


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_batch_that_inflates_to_more_than_the_bound_costs_itself(
    codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inflate, "INFLATED_BYTES_MAX", 2**20)
    large, small = one(bytes(2**21), 1, codec), one(bytes(2**19), 2, codec)
    assert len(large) < 2**18
    found, after = values(one(b"first", 0) + large + small)
    assert [len(value or b"") for value in found] == [5, 2**19]
    assert after == 3


@pytest.mark.parametrize(("name", "codec"), [("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)])
@given(data=st.binary(max_size=5000), times=st.integers(0, 60))
@settings(max_examples=30)
def test_what_any_client_compresses_is_decompressed(
    name: str, codec: int, data: bytes, times: int
) -> None:
    found, _ = values(one(data * times, 0, codec))
    assert found == [data * times]
    if name == "gzip":
        assert inflate.gzip(gzip.compress(data) + gzip.compress(data)) == data * 2
    elif name == "snappy":
        assert inflate.snappy(bytes(cramjam.snappy.compress_raw(data))) == data
    else:
        compress = getattr(cramjam, name).compress
        assert getattr(inflate, name)(bytes(compress(data))) == data


@pytest.mark.parametrize("length", [-7, 0, 1, 2**31 - 1])
def test_a_wrong_length_stops_nothing_for_ever(length: int) -> None:
    raw = bytearray(one(b"x", 5) + one(b"y", 6))
    struct.pack_into(">i", raw, 8, length)
    assert values(bytes(raw), 5)[1] == 6


def test_a_fetch_that_ends_within_a_batch_is_continued_there() -> None:
    data = one(b"first", 0) + one(b"second", 1)
    assert values(data[:-3]) == ([b"first"], 1)


def test_a_batch_that_contradicts_itself_does_not_hide_what_follows() -> None:
    raw = bytearray(one(b"x", 0))
    struct.pack_into(">i", raw, LAST_AT, 2**30)
    assert values(bytes(raw)) == ([], 1)  # the checksum is wrong
    assert values(bytes(raw) + one(b"next", 1)) == ([b"next"], 2)


def test_aborted_transactions_are_left_out_and_markers_passed() -> None:
    def marker(base: int, kind: int) -> bytes:
        body = [(struct.pack(">hh", 0, kind), struct.pack(">hi", 0, 0), [])]
        raw = bytearray(batch(body, base, producer_id=9, producer_epoch=0, transactional=True))
        raw[22] |= 0x20
        return signed(bytes(raw))

    def part(value: bytes, base: int) -> bytes:
        return batch([(b"k", value, [])], base, producer_id=9, transactional=True)

    data = part(b"aborted", 0) + marker(1, 0) + part(b"committed", 2) + marker(3, 1)
    found = reader(data, aborted=[(9, 0)])
    assert [record.value for record in found] == [b"committed"]
    assert found.next_fetch_offset == 4


RECORDS = st.lists(
    st.tuples(
        st.none() | st.binary(max_size=20),
        st.none() | st.binary(max_size=60),
        st.lists(st.tuples(st.binary(max_size=8), st.none() | st.binary(max_size=8)), max_size=3),
    ),
    min_size=1,
    max_size=5,
)


@given(st.lists(st.tuples(RECORDS, st.sampled_from(CODECS)), min_size=1, max_size=4))
@settings(max_examples=150)
def test_every_right_record_is_read_byte_for_byte(made: Any) -> None:
    data, wanted = b"", []
    for records, codec in made:
        data += batch(records, len(wanted), codec)
        wanted += records
    found = [
        (
            record.key,
            record.value,
            [(name.encode("utf-8", "surrogateescape"), held) for name, held in record.headers],
        )
        for record in reader(data)
    ]
    assert found == [(key, value, list(headers)) for key, value, headers in wanted]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A batch with wrong bytes in it (the checksum right or wrong), and a right one behind it."""
    raw = bytearray(batch(draw(RECORDS), 1, draw(st.sampled_from(CODECS))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(16, len(raw) - 1))  # its place and length stay
        raw[at] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        raw = bytearray(signed(bytes(raw)))
    return bytes(raw), one(b"last", 50)


def claiming_another_offset() -> bytes:
    """Two records of which the second says that it is the one at 49, and a third that is none."""
    raw = bytearray(batch([(None, None, [])] * 2, 1))
    raw[COUNT_AT + 3] = 3
    raw[-4] = 2 * 48  # a zigzag varint: so far behind the first
    return signed(bytes(raw))


@given(damaged())
@settings(max_examples=400)
@example((claiming_another_offset(), one(b"last", 50)))
@example((signed(one(b"x", 1)[:COUNT_AT] + b"\x7f\xff\xff\xff" + one(b"x", 1)[61:]), one(b"", 50)))
def test_whatever_is_wrong_with_a_batch_its_neighbours_come(made: tuple[bytes, bytes]) -> None:
    raw, last = made
    alone = reader(one(b"first", 0) + raw)
    list(alone)
    found = reader(one(b"first", 0) + raw + last)
    read = list(found)
    assert read[0].value == b"first"
    if alone.next_fetch_offset <= 50:  # unless it claims offsets that are not its own
        assert read[-1].offset == 50
    assert found.next_fetch_offset >= 51


@given(st.binary(max_size=200))
@settings(max_examples=400)
def test_whatever_bytes_come_the_next_fetch_is_another(data: bytes) -> None:
    found = reader(data, 10)
    list(found)
    assert found.next_fetch_offset > 10 or not data


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [0, 1, 2])
def test_batches_of_before_kafka_0_11(magic: int, codec: int) -> None:
    """They may still lie on a disk."""
    builder = LegacyRecordBatchBuilder(magic, codec, 2**20)
    for number in range(2):
        builder.append(number, timestamp=5, key=b"k", value=b"old %d" % number)
    assert values(bytes(builder.build()) + one(b"new", 2)) == ([b"old 0", b"old 1", b"new"], 3)


def test_the_checksum_is_looked_at() -> None:
    raw = bytearray(one(b"x", 0))
    raw[CRC_AT] ^= 1
    assert values(bytes(raw)) == ([], 1)
