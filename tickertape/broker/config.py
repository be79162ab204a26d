"""Kafka's own settings for one node on a small machine, and Java's."""

from __future__ import annotations

from pathlib import Path

from tickertape.topics import RECORD_BYTES_MAX

NODE_ID = 1
HOST = "localhost"  # where producers send that were written against a local Kafka

JVM = (
    "-Xms64m",
    "-Xmx512m",
    # The second compiler takes more of two cores in the first minutes than it saves in an hour.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",  # one node of a few hundred partitions: fewer threads, less memory
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "--sun-misc-unsafe-memory-access=allow",  # else Java 24 and later warn of Kafka's own code
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=error",
)


def properties(data: Path, port: int, controller_port: int) -> str:
    """Return server.properties: broker and controller in one, records under ``data``."""
    values: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "log.dirs": data,
        # One node: one copy of everything.
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "default.replication.factor": 1,
        # Defaults of 50 partitions cost seconds of every first start.
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.num.partitions": 4,
        # A topic with the wrong partition count or clock is worse than a missing one.
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "message.max.bytes": RECORD_BYTES_MAX,
        "replica.fetch.max.bytes": RECORD_BYTES_MAX,
        "log.segment.bytes": 256 * 2**20,
        "log.index.size.max.bytes": 2**20,
        # Offsets of a group that was stopped outlive the topics' own retention of 7 days.
        "offsets.retention.minutes": 30 * 24 * 60,
        # After a crash the controller takes the new broker only when the old one's session is
        # over: 9 s by default.
        "broker.session.timeout.ms": 5000,
        "broker.heartbeat.interval.ms": 500,
        # A record into the controller's log every half second, to say that there is nothing.
        "metadata.max.idle.interval.ms": 5000,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 2,
        "log.cleaner.threads": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 2**20,
    }
    return "".join(f"{key}={_escape(str(value))}\n" for key, value in values.items())


def _escape(value: str) -> str:
    """Java reads the file as Latin-1, with backslash escapes."""
    escaped = value.replace("\\", "\\\\")
    units = escaped.encode("utf-16-be")
    pairs = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    return "".join(chr(unit) if unit < 128 else f"\\u{unit:04x}" for unit in pairs)
