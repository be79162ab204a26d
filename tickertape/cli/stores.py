"""``faust -A app stores``: the vector index of a store; stores that are filled from the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import click

from tickertape import flows, followers, kafka_admin
from tickertape.cli.failure import one_line
from tickertape.cli.sending import publisher
from tickertape.errors import BrokerError, SettingsError
from tickertape.followers import Fill
from tickertape.kafka.brokers import brokers_of
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.base import Store
from tickertape.stores.capabilities import with_index


def commands(load_settings: Callable[[], Settings]) -> click.Group:
    """Return the group ``stores``. Exit codes: 0 done, 1 failed."""

    @click.group("stores")
    def stores() -> None:
        """Look after the stores that the settings name."""

    @stores.command("index")
    def index() -> None:
        """Build the vector index of each store that has one, while workers go on.

        To be run after a bulk load, and again when a model is new: it says what is there already.
        """
        with one_line():
            asyncio.run(_index(open_stores(load_settings())))

    @stores.command("fill")
    @click.argument("name", required=False)
    def fill(name: str | None) -> None:
        """Let workers fill the stores beside the first, or NAME alone, with what they lack.

        A new store is filled without this. It is for one that lost what it had, or was named to
        some workers later than to others.
        """
        with one_line():
            for filled in asyncio.run(_fill(load_settings(), name)):
                click.echo(f"{filled}: workers compare it with the first store, page by page")

    return stores


async def _fill(settings: Settings, name: str | None) -> Sequence[str]:
    further = settings.stores[1:]
    if not further or name not in (None, *further):
        known = ", ".join(further) or "none beside the first"
        raise SettingsError(f"TICKERTAPE_STORES: expected a store beside the first, has {known}")
    chosen = further if name is None else (name,)
    topics = {one: flows.follower(one).topic(settings) for one in chosen}
    wanted = [topic for topic in kafka_admin.wanted(settings) if topic.name in topics.values()]
    (await kafka_admin.ensure(brokers_of(settings), wanted)).raise_for_errors()
    async with publisher(settings) as sender:
        steps = [followers.fill(topic, Fill()) for topic in topics.values()]
        for record, error in zip(steps, await sender.send(steps), strict=True):
            if error is not None:
                raise BrokerError(f"{record.topic}: {error}")
    return chosen


async def _index(stores: list[Store]) -> None:
    indexed = [(store, found) for store in stores if (found := with_index(store)) is not None]
    if not indexed:
        names = ", ".join(store.name for store in stores)
        raise SettingsError(f"TICKERTAPE_STORES: {names} has no vector index to build")
    for store, found in indexed:
        await store.start()
        try:
            await found.build_index(click.echo)
        finally:
            await store.stop()
