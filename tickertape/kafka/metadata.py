"""The text that is kept beside a committed offset."""

from __future__ import annotations

from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Metadata:
    """``topic_id``: which topic the offset belongs to, where the broker says so. ``clock_ms``: the
    partition's clock before the offset (`kafka.clock`)."""

    topic_id: str | None = None
    clock_ms: int = 0

    def encode(self) -> str:
        """Return it as text; empty where nothing is known."""
        found = {"topic": self.topic_id, "clock": self.clock_ms}
        return (
            orjson.dumps(known).decode() if (known := {k: v for k, v in found.items() if v}) else ""
        )

    @classmethod
    def decode(cls, text: str | None) -> Metadata:
        """Read it; what another program wrote says nothing to us."""
        try:
            found = orjson.loads(text or "null")
        except ValueError:
            return cls()
        if not isinstance(found, dict):
            return cls()
        id, clock = found.get("topic"), found.get("clock")
        known = clock if type(clock) is int and 0 < clock < 2**63 else 0
        return cls(id if isinstance(id, str) else None, known)
