"""What a comparison found, and what it looked at."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tickertape.documents import DocumentKey


class Kind(enum.Enum):
    """What is wrong."""

    MISSING = "missing"  # not there, and should be
    STALE = "stale"  # an older text or state
    ORPHANED = "orphaned"  # there, and the ledger has deleted it or does not know of it
    DOUBLED = "doubled"  # chunks that are there twice, or of no document
    DAMAGED = "damaged"  # chunks or vectors that are not what they should be


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a store. ``known``: the ledger knows of the document."""

    kind: Kind
    store: str
    key: DocumentKey | None
    detail: str
    known: bool = True

    def as_json(self, became: str | None) -> dict[str, Any]:
        """Return it for programs; ``became`` says what was done."""
        key = self.key
        return {
            "kind": self.kind.value,
            "store": self.store,
            "id": key.id if key else None,
            "collection": key.collection if key else None,
            "tenant": key.tenant if key else None,
            "detail": self.detail,
            "repair": became,
        }


@dataclass(slots=True)
class Tally:
    """All that was found and looked at so far, in numbers."""

    looked: Counter[str] = field(default_factory=Counter)  # documents by store; "topics": records
    found: Counter[tuple[str, str]] = field(default_factory=Counter)  # by store and kind
    mended: int = 0

    @property
    def open(self) -> int:
        """How many things are wrong still."""
        return self.found.total() - self.mended

    def add(self, findings: Sequence[Finding]) -> None:
        """Count them."""
        self.found.update((each.store, each.kind.value) for each in findings)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs: {looked, found: {store: {kind: n}}, mended, open}."""
        found: dict[str, dict[str, int]] = {}
        for (store, kind), count in sorted(self.found.items()):
            found.setdefault(store, {})[kind] = count
        return {
            "looked": dict(self.looked),
            "found": found,
            "mended": self.mended,
            "open": self.open,
        }

    @classmethod
    def of_json(cls, tree: dict[str, Any]) -> Tally:
        """Read what `as_json` made."""
        found = Counter(
            {
                (store, kind): n
                for store, kinds in tree["found"].items()
                for kind, n in kinds.items()
            }
        )
        return cls(Counter(tree["looked"]), found, tree["mended"])
