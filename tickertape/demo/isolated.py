"""Surroundings of its own for the smoke run: nothing of the user's is read, joined or left behind.

A broker that is named is used, with topics and a consumer group of a name that no other has.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tickertape import kafka_admin
from tickertape.kafka.brokers import brokers_of, client
from tickertape.settings import Settings, env_name, load


@contextlib.contextmanager
def environment(root: Path) -> Iterator[None]:
    """Set the environment: a temporary data folder, free ports, the user's models and broker.

    The folder is removed at the end, unless an error passes through: its log tells why.
    """
    user = load(root)
    before = dict(os.environ)
    folder = Path(tempfile.mkdtemp(prefix="tickertape-smoke-"))
    mine = {
        "TICKERTAPE_DATA_DIR": str(folder),
        "TICKERTAPE_MODELS_DIR": str(user.model_cache.expanduser().absolute()),
        "TICKERTAPE_BROKER_PORT": str(free_port("localhost")),
        "TICKERTAPE_WEB_HOST": "127.0.0.1",
        "TICKERTAPE_WEB_PORT": "0",
        "TICKERTAPE_STORES": "sqlite",
        "TICKERTAPE_ROLES": ",".join(Settings.model_fields["roles"].default),
    }
    if not user.embedded_broker:
        mine |= _names(f"smoke-{uuid.uuid4().hex[:8]}")
    os.environ.update(mine)
    try:
        yield
    except BaseException:
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.asynccontextmanager
async def topics(settings: Settings) -> AsyncIterator[None]:
    """Remove the run's topics at the end, where the broker is not the run's own.

    The client cannot remove consumer groups; Kafka does, as their topics are gone.
    """
    try:
        yield
    finally:
        if not settings.embedded_broker:
            with contextlib.suppress(KafkaError, OSError):
                await _remove(settings)


def free_port(host: str) -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])


def _names(prefix: str) -> dict[str, str]:
    fields = [name for name in Settings.model_fields if name.startswith("topic_")]
    names = {env_name(f): f"{prefix}-{Settings.model_fields[f].default}" for f in fields}
    return {**names, "TICKERTAPE_APP_ID": prefix}


async def _remove(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(**client(brokers_of(settings)))
    await admin.start()
    try:
        await admin.delete_topics([topic.name for topic in kafka_admin.wanted(settings)])
    finally:
        await admin.close()
