"""``faust -A app stores index``: the vector index of a store that has one, after a bulk load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import click

from tickertape.cli.failure import one_line
from tickertape.errors import SettingsError
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

    return stores


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
