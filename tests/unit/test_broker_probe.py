"""Who listens at a port: nobody, a Kafka, a Kafka that starts, or something else."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tickertape.broker import probe
from tickertape.broker.probe import Listener


def text(value: str | None) -> bytes:
    """A Kafka string: its length, -1 for null, then its bytes."""
    if value is None:
        return struct.pack(">h", -1)
    return struct.pack(">h", len(value)) + value.encode()


def metadata(brokers: int, cluster_id: str | None, correlation: int = probe.CORRELATION) -> bytes:
    """A Metadata reply of version 4."""
    nodes = b"".join(
        struct.pack(">i", n) + text(f"host-{n}") + struct.pack(">i", 9092) + text(None)
        for n in range(brokers)
    )
    rest = struct.pack(">ii", 1, 0)  # controller, no topics
    body = struct.pack(">iii", correlation, 0, brokers) + nodes + text(cluster_id) + rest
    return struct.pack(">i", len(body)) + body


@contextmanager
def server(reply: bytes) -> Iterator[int]:
    """Answer one request with ``reply`` and hang up."""
    with socket.create_server(("localhost", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (metadata(1, "oMXCIu8mQ2yBpadfoAfxAw"), Listener("oMXCIu8mQ2yBpadfoAfxAw", 1)),
        (metadata(3, "a"), Listener("a", 3)),
        (metadata(0, "starting"), Listener("starting", 0)),
        (metadata(1, None), Listener(None, 1)),
        (metadata(1, "a", correlation=1), Listener(None)),
        (metadata(2, "a")[:-20], Listener(None)),
        (metadata(2, "cut-off-in-its-name")[:45], Listener(None)),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Listener(None)),
        (b"\x00\x00\x00\x00", Listener(None)),
        (b"", Listener(None)),
    ],
)
def test_tells_a_kafka_from_everything_else(reply: bytes, found: Listener) -> None:
    with server(reply) as port:
        assert probe.ask("localhost", port) == found


def test_nobody() -> None:
    with socket.create_server(("localhost", 0)) as listening:
        port = listening.getsockname()[1]
    assert probe.ask("localhost", port) is None


def test_one_that_never_answers_is_given_up() -> None:
    with socket.create_server(("localhost", 0)) as listening:
        port = listening.getsockname()[1]
        assert probe.ask("localhost", port, timeout_seconds=0.2) == Listener(None)
