"""The text that is kept beside a committed offset."""

from __future__ import annotations

from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Metadata:
    """``topic_id``: which topic the offset belongs to, where the broker says so."""

    topic_id: str | None = None

    def encode(self) -> str:
        """Return it as text; empty where nothing is known."""
        return orjson.dumps({"topic": self.topic_id}).decode() if self.topic_id else ""

    @classmethod
    def decode(cls, text: str | None) -> Metadata:
        """Read it; what another program wrote says nothing to us."""
        try:
            found = orjson.loads(text or "null")
        except ValueError:
            return cls()
        id = found.get("topic") if isinstance(found, dict) else None
        return cls(id if isinstance(id, str) else None)
