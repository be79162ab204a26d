"""Topics as users type them: by the name they have here, or by the default one."""

from __future__ import annotations

import click

from tickertape import kafka_admin, topics
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import Brokers
from tickertape.settings import Settings
from tickertape.topics import Topic


def find(settings: Settings, typed: str) -> tuple[str, str | None]:
    """Return the topic meant and its kind; a name that is none of ours is as it is typed.

    ``financial-documents`` is the topic that INPUT_TOPIC names, unless one of ours is called so.
    """
    names = topics.names(settings)
    for kind, name in names.items():
        if name == typed:
            return name, kind
    for kind, name in names.items():
        if kind.replace("_", "-") == typed:
            return name, kind
    return typed, None


async def check_exists(at: Brokers | str, topic: str) -> None:
    """Raise `BrokerError` when the topic is not there: a client would wait for it."""
    for difference in await kafka_admin.check(at, [Topic(topic, 1, "", "")]):
        if difference.what == "missing":
            raise BrokerError(
                f"there is no topic {topic} at {at}; ours are made by `topics create`"
            )


def aside(message: str) -> None:
    """Progress goes to stderr: stdout may be read by a program."""
    click.echo(message, err=True)
