"""Which summaries a store writes, in every store that remembers them."""

from __future__ import annotations

from collections.abc import Iterable

from tickertape.documents import DocumentKey, StoredSummary
from tickertape.editions import Edition
from tickertape.stores.window import LedgerEntry
from tickertape.versions import Version


def latest(summaries: Iterable[StoredSummary]) -> dict[DocumentKey, StoredSummary]:
    """Return the newest of each document; of two of one version that which comes last."""
    found: dict[DocumentKey, StoredSummary] = {}
    for summary in summaries:
        before = found.get(summary.key)
        if before is None or before.version <= summary.version:
            found[summary.key] = summary
    return found


def outdated(summary: StoredSummary, there: Version | None, entry: LedgerEntry) -> bool:
    """Whether a newer one is ``there``, or a newer event has replaced or deleted the document."""
    newer = there is not None and summary.version < there
    return newer or entry.editions.outdates(Edition(summary.version))
