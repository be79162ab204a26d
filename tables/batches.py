"""The table of batches: a Faust table with one owner, folded from batch-progress.

Every worker answers from its own `reader`; only the owner of a partition writes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import faust
import orjson
from faust.serializers.codecs import dumps

from tables.fold import fold
from tickertape import encode
from tickertape import headers as h
from tickertape.delivery.progress import Delta
from tickertape.record import Outgoing

NAME = "batches"


class BatchTable(faust.Table[str, dict[str, Any]]):
    """A table whose recovery takes the newest value of a key, by ``at``, not the last one.

    A worker that Kafka took for dead may still write what it held when it wakes, after the new
    owner's values. (The new owner writes its own again: `Delta.refresh`.)

    Its changes are not sent by Faust, which does not wait for the broker's acknowledgement: they
    are among what a flow confirms before an offset moves.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._changes: list[Outgoing] = []

    def send_changelog(
        self,
        partition: int | None,
        key: Any,
        value: Any,
        key_serializer: Any = None,
        value_serializer: Any = None,
    ) -> Any:
        """Keep the change for `take_changes`; Faust looks at the returned partition alone."""
        self._changes.append(
            Outgoing(
                self.changelog_topic.get_topic_name(),
                dumps(key_serializer or self.key_serializer, key),
                dumps(value_serializer or self.value_serializer, value),
                partition=partition,
            )
        )
        return SimpleNamespace(message=SimpleNamespace(partition=partition))

    def take_changes(self) -> list[Outgoing]:
        """Return the changelog records of what was written since the last call."""
        taken, self._changes = self._changes, []
        return taken

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        newest: dict[Any, int] = {}
        kept = []
        for event in batch:
            at = (event.value or {}).get("at", 0)
            held = newest.get(event.key, (self.data.get(event.key) or {}).get("at", 0))
            if event.message.value is None or at >= held:
                newest[event.key] = at
                kept.append(event)
        super().apply_changelog_batch(kept)


def declare(app: Any) -> Any:
    """Return the table. Its changelog is created with our topics (see `tickertape.topics`)."""
    return app.tables.add(BatchTable(app, name=NAME, help="Where every batch stands."))


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
