"""Where documents, vectors and the ledger are kept. One adapter a database; `base` is the contract.

To add one: write the adapter, name it in `STORES`, give `tests/contract/store_kit.py` a way to
start it, and follow docs/stores.md.
"""

from __future__ import annotations

import importlib

from tickertape.errors import SettingsError
from tickertape.settings import Settings
from tickertape.stores.base import Store

# name -> "module:Class"; the class takes Settings. What it needs is an extra of the same name
STORES: dict[str, str] = {
    "faiss": "tickertape.stores.sqlite.faiss_store:FaissStore",
    "pgvector": "tickertape.stores.pgvector:PgvectorStore",
    "redis": "tickertape.stores.redis:RedisStore",
    "sqlite": "tickertape.stores.sqlite:SqliteStore",
}


def open_stores(settings: Settings) -> list[Store]:
    """Return the stores that TICKERTAPE_STORES names, in its order, not started yet.

    Raises:
        SettingsError: none is named, one is named twice, is unknown, or lacks its client package.
    """
    names = settings.stores
    if not names:
        raise SettingsError(f"TICKERTAPE_STORES: expected at least one of {_known()}")
    if len(set(names)) < len(names):
        raise SettingsError(f"TICKERTAPE_STORES: expected each store once, got {','.join(names)}")
    return [_build(name, settings) for name in names]


def _build(name: str, settings: Settings) -> Store:
    if name not in STORES:
        raise SettingsError(f"TICKERTAPE_STORES: expected one of {_known()}, got {name!r}")
    module, _, attribute = STORES[name].partition(":")
    try:
        adapter = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "tickertape":
            raise
        raise SettingsError(
            f"TICKERTAPE_STORES: {name} needs the package {error.name}, which is not installed: "
            f"pip install -e '.[{name}]'"
        ) from None
    store: Store = adapter(settings)
    return store


def _known() -> str:
    return ", ".join(sorted(STORES))
