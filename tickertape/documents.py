"""What travels through the pipeline: documents, chunks, heads, and their ids.

Pure data. A `Document` is what a record became after decoding; a `Head` is what a store
knows of a document (the ledger); `Put`, `Touch`, `Pass`, `Delete` and `Copy` are what a store is
asked to do.
"""

from __future__ import annotations

import enum
import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from tickertape.editions import ANY, Edition, Editions
from tickertape.versions import Origin, Version

Vector = np.ndarray[Any, np.dtype[np.float32]]  # shape [dimension]
Vectors = np.ndarray[Any, np.dtype[np.float32]]  # shape [rows, dimension]

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://tickertape/ids")
DEFAULT_TENANT = "default"  # whose everything is that names no other


@dataclass(frozen=True, slots=True, order=True)
class DocumentKey:
    """A document's identity: collection and id, and whose it is."""

    collection: str
    id: str
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Document:
    """One text to embed and store.

    ``timestamp`` is the producer's, in epoch seconds; it is never used to order versions.
    ``metadata`` is the record's metadata with its unknown fields, JSON-safe, any depth.
    """

    key: DocumentKey
    text: str
    version: Version
    origin: Origin
    metadata: Mapping[str, Any] = field(default_factory=dict)
    timestamp: float | None = None
    source: str | None = None
    table_name: str | None = None
    batch_id: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """What a store knows of a document.

    ``version`` is that of the event whose text is stored; ``content_version`` that of the event
    which wrote it (older where later events did not change the text). ``deleted``: no text is
    stored, and ``version`` is the latest delete's. ``editions`` decides what is newer.
    """

    key: DocumentKey
    version: Version
    content_version: Version
    content_hash: str
    chunk_count: int
    deleted: bool
    origin: Origin
    batch_id: str | None = None
    updated_at: float = 0.0  # epoch seconds
    editions: Editions = field(default_factory=Editions)


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """One chunk as a store holds it. ``start`` and ``end`` are character offsets in the text."""

    id: uuid.UUID
    ordinal: int
    text: str
    start: int
    end: int
    vector: Vector


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """All that a store holds of one document."""

    head: Head
    metadata: Mapping[str, Any]
    source: str | None
    model: str | None
    chunks: Sequence[StoredChunk]


@dataclass(frozen=True, slots=True)
class Put:
    """Write the document's text: all its chunks, or of an edition in parts the one chunk that is
    this part. What it replaces goes."""

    document: Document
    edition: Edition
    content_hash: str
    model: str  # name and precision, as `Embedder.identity`
    chunks: Sequence[StoredChunk]

    @property
    def key(self) -> DocumentKey:
        """The document's."""
        return self.document.key

    @property
    def origin(self) -> Origin:
        """The document's."""
        return self.document.origin


@dataclass(frozen=True, slots=True)
class Touch:
    """A newer event left the content, of this hash, as it is. ``moves``: the head's origin and
    batch become this event's."""

    key: DocumentKey
    edition: Edition
    origin: Origin
    content_hash: str
    batch_id: str | None = None
    moves: bool = True


@dataclass(frozen=True, slots=True)
class Pass:
    """An event that is not shown, as a newer one is: remember only that it came."""

    key: DocumentKey
    edition: Edition
    origin: Origin


@dataclass(frozen=True, slots=True)
class Delete:
    """The origin's topic deletes a tenant's id: in one collection, or (None) in all that it ever
    writes."""

    id: str
    collection: str | None
    version: Version
    origin: Origin
    batch_id: str | None = None
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Copy:
    """What another store knows of a document, to be known here too. ``stored`` is what it holds of
    it; None where only the head has moved on, and its text is here."""

    head: Head
    stored: StoredDocument | None

    @property
    def key(self) -> DocumentKey:
        """The document's."""
        return self.head.key

    @property
    def deletes(self) -> Iterator[tuple[str, Delete]]:
        """Yield the deletes that may concern it, by who said so (a topic, or `ANY`)."""
        key = self.key
        for who, said in self.head.editions.deletes.items():
            for version in said.versions:
                topic = who if who != ANY else version.stamp.topic
                origin = Origin(topic, version.stamp.partition, version.stamp.offset)
                where = key.collection if who == ANY else None
                yield who, Delete(key.id, where, version, origin, tenant=key.tenant)


Operation = Put | Touch | Pass | Delete | Copy


class Applied(enum.Enum):
    """What a store did with an operation."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"  # what is newer is shown
    # It uncovered an older text, which was not kept: it has to be read again (`Store.missing`).
    UNCOVERED = "uncovered"


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """A summary in the ledger: sent again, without a model call, while its hash is the same.

    ``result`` is the llm-results record as it was published.
    """

    key: DocumentKey
    version: Version
    content_hash: str
    result: Mapping[str, Any]


def content_hash(document: Document, *, model: str, chunking: str) -> str:
    """Return the hash that says whether anything would come out differently.

    It covers text, metadata, model with precision, and chunking. BLAKE2b, 128 bits, hex.
    """
    return digest(
        document.text.encode("utf-8", "surrogatepass"),
        _canonical(document.metadata),
        model.encode(),
        chunking.encode(),
    ).hex()


def digest(*parts: bytes) -> bytes:
    """Return 128 bits of BLAKE2b over these parts, in this order; where one ends counts."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


def _canonical(metadata: Mapping[str, Any]) -> bytes:
    """The metadata as JSON with sorted keys, integers of any size and lone surrogates too."""
    try:
        return orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(metadata, sort_keys=True, default=str).encode()


def chunk_id(key: DocumentKey, ordinal: int, model: str) -> uuid.UUID:
    """Return the deterministic id of a chunk: uuid5 of collection, document, chunk and model, in a
    namespace of the tenant's."""
    space = NAMESPACE
    if key.tenant != DEFAULT_TENANT:
        space = uuid.uuid5(NAMESPACE, key.tenant)
    return uuid.uuid5(space, "\x1f".join((key.collection, key.id, str(ordinal), model)))


def anonymous_id(origin: Origin) -> str:
    """Return the id of a record that has neither id nor key: uuid5 of where it stands."""
    return str(uuid.uuid5(NAMESPACE, f"{origin.topic}\x1f{origin.partition}\x1f{origin.offset}"))
