"""Record batches as bytes, right and wrong ones, and how to put them on a topic as they are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

from tickertape.kafka.header_names import encodable

CRC_AT, ATTRIBUTES_AT, LAST_AT, COUNT_AT = 17, 21, 23, 57
HEADER_BYTES = 61

Header = tuple[bytes, bytes | None]
Made = tuple[bytes | None, bytes | None, Sequence[Header]]


def batch(records: Sequence[Made], base: int = 0, codec: int = 0, **flags: Any) -> bytes:
    """Return a batch of records (key, value, headers). ``codec``: 0 none, 1 gzip, 2 snappy,
    3 lz4, 4 zstd."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=codec,
        is_transactional=flags.get("transactional", False),
        producer_id=flags.get("producer_id", -1),
        producer_epoch=flags.get("producer_epoch", -1),
        base_sequence=flags.get("base_sequence", -1),
        batch_size=2**30,
    )
    for number, (key, value, headers) in enumerate(records):
        names = [
            (encodable(name.decode("utf-8", "surrogateescape")), held) for name, held in headers
        ]
        builder.append(number, timestamp=1_700_000_000_000, key=key, value=value, headers=names)
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, base)
    return bytes(raw)


def with_payload(payload: bytes, codec: int, count: int = 1, base: int = 0) -> bytes:
    """Return a batch of these very bytes behind its header, its checksum right."""
    raw = bytearray(batch([(None, b"x", [])] * count, base)[:HEADER_BYTES]) + payload
    struct.pack_into(">i", raw, 8, len(raw) - 12)
    struct.pack_into(">h", raw, ATTRIBUTES_AT, codec)
    return signed(bytes(raw))


def signed(raw: bytes) -> bytes:
    """Return the batch with the checksum that its bytes have."""
    out = bytearray(raw)
    struct.pack_into(">I", out, CRC_AT, calc_crc32c(bytes(out[ATTRIBUTES_AT:])))
    return bytes(out)


async def produce(producer: AIOKafkaProducer, topic: str, raw: bytes, partition: int = 0) -> None:
    """Send a batch as it is, and wait for the broker's acknowledgement."""
    made = producer.create_batch()
    made.append(timestamp=None, key=None, value=b"counted", headers=[])
    made.close()
    made._buffer = bytearray(raw)
    made._builder = None
    await (await producer.send_batch(made, topic, partition=partition))
