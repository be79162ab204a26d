"""The embedded store: one SQLite file that all workers of a machine share."""

from tickertape.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
