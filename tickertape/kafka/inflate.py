"""Decompression with a bound: a small batch may inflate to gigabytes.

aiokafka's own functions have none, so one such batch ends worker after worker.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import cramjam

from tickertape.errors import TransientError

INFLATED_BYTES_MAX = 64 * 2**20  # of one batch; producers send up to a few megabytes
FIRST_BYTES = 64 * 1024
GROWTH = 8
XERIAL = b"\x82SNAPPY\x00"
XERIAL_HEADER_BYTES = 16

Data = bytes | bytearray | memoryview


class InflatedTooLarge(TransientError):
    """A batch is larger than the bound once it is decompressed."""


def gzip(data: Data) -> bytes:
    """Decompress gzip, of several members too. Raises `InflatedTooLarge`, `zlib.error`."""
    found = bytearray()
    left = bytes(data)
    while left:
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(left, INFLATED_BYTES_MAX + 1 - len(found))
        if len(found) > INFLATED_BYTES_MAX:
            raise _too_large()
        if not member.eof:
            raise zlib.error("the data ends within a gzip member")
        left = member.unused_data
    return bytes(found)


def snappy(data: Data) -> bytes:
    """Decompress snappy, raw or framed as xerial's library does. Raises `InflatedTooLarge`,
    `cramjam.DecompressionError`, `ValueError`.
    """
    raw = bytes(data)
    blocks = _xerial_blocks(raw) if raw.startswith(XERIAL) else [raw]
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > INFLATED_BYTES_MAX:
        raise _too_large()
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def lz4(data: Data) -> bytes:
    """Decompress an lz4 frame. Raises `InflatedTooLarge`, `cramjam.DecompressionError`."""
    return _growing(cramjam.lz4.decompress_into, bytes(data))


def zstd(data: Data) -> bytes:
    """Decompress zstd. Raises `InflatedTooLarge`, `cramjam.DecompressionError`."""
    return _growing(cramjam.zstd.decompress_into, bytes(data))


def install() -> None:
    """Let aiokafka decompress with these; it offers no way to say so."""
    replaced = {
        "gzip_decode": gzip,
        "snappy_decode": snappy,
        "lz4_decode": lz4,
        "zstd_decode": zstd,
    }
    for name in (
        "aiokafka.record.default_records",
        "aiokafka.record.legacy_records",
        "aiokafka.record._crecords.default_records",
        "aiokafka.record._crecords.legacy_records",
    ):
        try:
            module = import_module(name)
        except ImportError:  # aiokafka without its C parts
            continue
        for function, bounded in replaced.items():
            if hasattr(module, function):
                setattr(module, function, bounded)


def _growing(decompress_into: Callable[[bytes, bytearray], int], data: bytes) -> bytes:
    """Decompress into a buffer, a larger one where that is too small. Nothing says beforehand how
    much it will be, and a buffer of the bound would have to be filled with zeros each time.
    """
    size = min(max(FIRST_BYTES, 4 * len(data)), INFLATED_BYTES_MAX)
    while True:
        buffer = bytearray(size)
        try:
            return bytes(memoryview(buffer)[: decompress_into(data, buffer)])
        except cramjam.DecompressionError as error:
            if "whole buffer" not in str(error):
                raise
            if size >= INFLATED_BYTES_MAX:
                raise _too_large() from None
            size = min(size * GROWTH, INFLATED_BYTES_MAX)


def _xerial_blocks(raw: bytes) -> list[bytes]:
    blocks: list[bytes] = []
    at = XERIAL_HEADER_BYTES
    while at < len(raw):
        if at + 4 > len(raw):
            raise ValueError("the data ends within a block of snappy")
        (size,) = struct.unpack_from(">i", raw, at)
        at += 4
        if size < 0 or at + size > len(raw):
            raise ValueError("the data ends within a block of snappy")
        blocks.append(raw[at : at + size])
        at += size
    return blocks


def _too_large() -> Any:
    return InflatedTooLarge(f"it inflates to more than {INFLATED_BYTES_MAX} bytes")
