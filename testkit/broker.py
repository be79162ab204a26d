"""A real broker, and what its topics and workers are told apart by."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

from tickertape import kafka_admin
from tickertape.broker import EmbeddedBroker
from tickertape.settings import Settings, env_name
from tickertape.topics import Topic


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


class Broker:
    """A running embedded broker, and what a test may do to it."""

    def __init__(self, data_dir: Path) -> None:
        self.embedded = EmbeddedBroker(data_dir, free_port())
        self.data_dir = data_dir

    @property
    def bootstrap(self) -> str:
        """host:port, as KAFKA_BROKERS takes it."""
        return self.embedded.bootstrap

    @property
    def port(self) -> int:
        """Its port on localhost."""
        return self.embedded.port

    def start(self) -> None:
        """Start it, where it is stopped or was killed; its data is what it was."""
        self.embedded.start()

    def stop(self) -> None:
        """Stop it cleanly."""
        self.embedded.stop()

    def kill(self) -> None:
        """kill -9; `start` brings it back."""
        self.embedded.kill()


def unique(prefix: str = "test") -> str:
    """Return a name for a topic, group or app that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def topic_settings(prefix: str | None = None) -> dict[str, str]:
    """Return environment variables that give every one of our topics a name of this test."""
    prefix = prefix or unique("t")
    fields = [field for field in Settings.model_fields if field.startswith("topic_")]
    return {env_name(f): f"{prefix}-{Settings.model_fields[f].default}" for f in fields}


async def create_topic(
    bootstrap: str, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Create one topic, and wait until it can be written to."""
    report = await kafka_admin.ensure(
        bootstrap, [Topic(name, partitions, "id", "of a test", dict(config or {}))]
    )
    report.raise_for_errors()


def worker_env(broker: Broker, data_dir: Path, **more: str) -> dict[str, str]:
    """Return an environment for a ``faust -A app`` process that uses ``broker``.

    Nothing of ours is inherited from the developer's environment.
    """
    names = ("TICKERTAPE_", "KAFKA_", "LLM_", "MODEL_NAME", "INPUT_TOPIC", "OUTPUT_TOPIC")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(names)}
    ours = {"KAFKA_BROKERS": broker.bootstrap, "TICKERTAPE_DATA_DIR": str(data_dir)}
    return {**clean, **ours, **more}
