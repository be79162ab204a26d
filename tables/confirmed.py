"""A Faust table of which a flow confirms what is written, and whose recovery takes the newest."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import faust
from faust.serializers.codecs import dumps

from tickertape.record import Outgoing


class ConfirmedTable(faust.Table[str, dict[str, Any]]):
    """A table whose recovery takes the newest value of a key, by ``at``, not the last one.

    A worker that Kafka took for dead may still write what it held when it wakes, after the new
    owner's values.

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
