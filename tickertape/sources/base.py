"""The contract every source keeps: what it is, how many rows it has, and its rows in pages.

A source knows no Kafka. Who reads it keeps each page's bookmark, and goes on from there after a
crash.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

Bookmark = Mapping[str, Any]  # JSON; its words are the source's own

PART = "#"  # between the id of what holds rows (a file) and that of a row in it
PAGE_ROWS = 500
PAGE_BYTES = 4 * 2**20


class SourceConfig(BaseModel):
    """What every entry of `sources` in config.yaml may say."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: str
    collection: str | None = Field(None, min_length=1, max_length=200)  # default: the source's name
    # What a full run finds gone is removed, but never more than this share without --yes.
    remove_share_max: float = Field(0.2, ge=0, le=1)
    # Look for changes this often, and ingest them; None: when it is asked for.
    watch_seconds: float | None = Field(None, ge=0.2, le=86_400)


@dataclass(frozen=True, slots=True)
class Row:
    """One document of a source. ``id`` is its own within it; ``timestamp`` in epoch seconds."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    timestamp: float | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """What is there and cannot be read, and why. What is known of it stays, rows in it too."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows in the source's order, and where the next page begins. ``gone``: ids that are in
    the source no more. ``kept``: what is there as it was, and not given again, rows in it too."""

    rows: Sequence[Row | Unread]
    bookmark: Bookmark
    gone: Sequence[str] = ()
    kept: Sequence[str] = ()

    @property
    def count(self) -> int:
        """How many documents it is."""
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Description:
    """What a source is, for people: ``facts`` are name and value, in order."""

    kind: str
    where: str
    facts: Sequence[tuple[str, str]] = ()


class Source(Protocol):
    """A configured source.

    Errors: `TransientError` where it may be read later, `PermanentError` where it never will be as
    it is configured. A row that cannot be read is an `Unread`, and no error.
    """

    @property
    def name(self) -> str:
        """Its name in config.yaml."""

    @property
    def config(self) -> SourceConfig:
        """What config.yaml says."""

    @property
    def follows(self) -> bool:
        """True where it understands ``since``."""

    @property
    def whole(self) -> bool:
        """True where its pages name all that is there with ``since``, too."""

    async def start(self) -> None:
        """Connect. Raises where it cannot."""

    async def stop(self) -> None:
        """Close. Safe to call twice."""

    async def describe(self) -> Description:
        """Look at the source; raise where it cannot be used."""

    async def fingerprint(self) -> str:
        """Return what is another when the source has changed, and costs little to find out.

        Raises:
            PermanentError: only reading it would tell.
        """

    async def count(self, since: Bookmark | None = None) -> int | None:
        """Return how many documents `pages` will give; None where that is not known before."""

    def pages(
        self, bookmark: Bookmark | None = None, since: Bookmark | None = None
    ) -> AsyncGenerator[Page, None]:
        """Yield all rows in pages, in an order that is the same each time; ``bookmark``: those
        behind the page that had it.

        ``since`` is the last bookmark of an earlier run: only what is new or changed since.
        """
