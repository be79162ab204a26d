"""The table of conversations: a Faust table with one owner, folded from chat-turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tables.confirmed import ConfirmedTable
from tickertape.history import TABLE, Change, fold
from tickertape.record import Outgoing


def declare(app: Any) -> Any:
    """Return the table. Its changelog is created with our topics (see `tickertape.topics`)."""
    return app.tables.add(ConfirmedTable(app, name=TABLE, help="What was said, by user."))


def apply(table: Any, changes: Sequence[Change]) -> list[Outgoing]:
    """Fold the changes into the table; return its changelog's records, which are to be published.

    To be called inside `worker.table_partition`.
    """
    states: dict[str, dict[str, Any] | None] = {}
    for change in changes:
        before = states[change.user] if change.user in states else table.data.get(change.user)
        states[change.user] = fold(before, change)
    for user, state in states.items():
        if state is not None:
            table[user] = state
        elif user in table:
            del table[user]
    written: list[Outgoing] = table.take_changes()
    return written
