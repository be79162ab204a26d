"""The table of batches: a Faust table with one owner, folded from batch-progress.

Every worker answers from its own `reader`; only the owner of a partition writes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from tables.confirmed import ConfirmedTable
from tables.fold import fold
from tickertape import encode
from tickertape import headers as h
from tickertape.delivery.progress import Delta
from tickertape.record import Outgoing

NAME = "batches"


def declare(app: Any) -> Any:
    """Return the table. Its changelog is created with our topics (see `tickertape.topics`)."""
    return app.tables.add(ConfirmedTable(app, name=NAME, help="Where every batch stands."))


class Unfoldable(Exception):
    """The fold cannot take one of these deltas."""


class Unreadable(Exception):
    """The table itself cannot be read: no delta is at fault."""


class Buffered:
    """Cells over the table: reads see what was set, and each key is written once at the end."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._set: dict[str, dict[str, Any] | None] = {}

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the value as it is now."""
        if key in self._set:
            return self._set[key]
        try:
            value: dict[str, Any] | None = self._table.data.get(key)
        except Exception as error:
            raise Unreadable(repr(error)) from error
        return value

    def set(self, key: str, value: dict[str, Any] | None) -> None:
        """Set it; None removes it."""
        self._set[key] = value

    def write(self) -> None:
        """Write to the table and its changelog."""
        for key, value in self._set.items():
            if value is not None:
                self._table[key] = value
            elif key in self._table:
                del self._table[key]


def apply(table: Any, deltas: Sequence[Delta], topic: str) -> list[Outgoing]:
    """Fold the deltas into the table; return the records to publish: its changelog, batch-status.

    Raises:
        Unfoldable: a delta is at fault, and nothing was written.

    To be called inside `worker.table_partition`.
    """
    cells = Buffered(table)
    try:
        states = fold(cells, deltas)
    except Unreadable:
        raise
    except Exception as error:
        raise Unfoldable(f"{type(error).__name__}: {error}") from error
    cells.write()
    statuses = [_status(topic, batch_id, state) for batch_id, state in states.items()]
    return [*table.take_changes(), *statuses]


def _status(topic: str, batch_id: str, state: dict[str, Any] | None) -> Outgoing:
    key = batch_id.encode()
    if state is None:
        return Outgoing(topic, key, None, [(h.OWN, b"1")])
    named = {name: state[name] for name in _NAMED}
    value = orjson.loads(encode.batch_status(**named, timestamp=state["timestamp"] / 1000))
    value.update({name: state[name] for name in ("seen", "repeats", "superseded", "started", "at")})
    return Outgoing(topic, key, orjson.dumps(value), [(h.OWN, b"1")])


_NAMED = (
    *("batch_id", "status", "total_documents", "processed_documents", "error_message"),
    *("done", "unchanged", "retrying", "dead"),
)
