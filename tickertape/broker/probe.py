"""Ask, over Kafka's own protocol, who listens at a port.

One Metadata request by hand: it needs no event loop, and its time is bounded.
Layout: https://kafka.apache.org/protocol#The_Messages_Metadata (version 4).
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

METADATA, VERSION, CORRELATION = 3, 4, 0x7469636B
REPLY_BYTES_MAX = 2**20


@dataclass(frozen=True, slots=True)
class Listener:
    """Who answered. ``cluster_id`` is None where it does not speak Kafka; ``brokers`` is the
    number of brokers that take requests (0 while Kafka starts)."""

    cluster_id: str | None
    brokers: int = 0


def ask(host: str, port: int, timeout_seconds: float = 3.0) -> Listener | None:
    """Return who listens at ``host``:``port``; None where nobody does."""
    try:
        connection = socket.create_connection((host, port), timeout_seconds)
    except OSError:
        return None
    with connection:
        try:
            connection.settimeout(timeout_seconds)
            connection.sendall(_request())
            return _parse(_receive(connection))
        except (OSError, ValueError, struct.error):
            return Listener(None)


def _request() -> bytes:
    client = b"tickertape"
    header = struct.pack(">hhih", METADATA, VERSION, CORRELATION, len(client)) + client
    body = struct.pack(">i?", 0, False)  # no topics, create none
    return struct.pack(">i", len(header) + len(body)) + header + body


def _receive(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    if not 0 < size <= REPLY_BYTES_MAX:
        raise ValueError("not a Kafka reply")
    return _exactly(connection, size)


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        part = connection.recv(count - len(found))
        if not part:
            raise ValueError("the connection was closed")
        found += part
    return bytes(found)


def _parse(reply: bytes) -> Listener:
    """Correlation, throttle time, brokers (id, host, port, rack), cluster id, ..."""
    correlation, _, brokers = struct.unpack_from(">iii", reply)
    if correlation != CORRELATION:
        raise ValueError("not a reply to our request")
    at = 12
    for _ in range(brokers):
        _, at = _string(reply, at + 4)
        _, at = _string(reply, at + 4)
    cluster_id, _ = _string(reply, at)
    return Listener(cluster_id, brokers)


def _string(reply: bytes, at: int) -> tuple[str | None, int]:
    (size,) = struct.unpack_from(">h", reply, at)
    if size < 0:
        return None, at + 2
    end = at + 2 + size
    if end > len(reply):
        raise ValueError("cut off")
    return reply[at + 2 : end].decode(), end
