"""What travels through the pipeline: documents, versions, chunks, heads, and their ids.

Pure data. A `Document` is what a record became after decoding; a `Head` is what a store
knows of a document (the ledger); `Put`, `Touch` and `Delete` are what a store is asked to do.
"""

from __future__ import annotations

import enum
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from tickertape.errors import InvalidRecord

Vector = np.ndarray[Any, np.dtype[np.float32]]  # shape [dimension]
Vectors = np.ndarray[Any, np.dtype[np.float32]]  # shape [rows, dimension]

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://tickertape/ids")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Which of two events about one document is newer.

    ``number`` is the record's explicit ``version``, else its first Kafka timestamp (ms);
    ``offset`` is its first offset and breaks ties.
    """

    number: int
    offset: int

    def __str__(self) -> str:
        return f"{self.number}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read what ``str`` wrote.

        Raises:
            InvalidRecord: not two integers joined by a dot.
        """
        number, _, offset = text.partition(".")
        try:
            return cls(int(number), int(offset))
        except ValueError:
            raise InvalidRecord("version", "<number>.<offset>", text) from None


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a record first stood in Kafka. It identifies the item of a batch."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, order=True)
class DocumentKey:
    """A document's identity: collection and id."""

    collection: str
    id: str


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

    ``version`` is the newest event seen; ``content_version`` the event that wrote the chunks
    (older than ``version`` when later events did not change the text).
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
class Put:
    """Write these chunks and the head, and remove the chunks that are no longer there."""

    document: Document
    content_hash: str
    model: str  # name and precision, as `Embedder.identity`
    chunks: Sequence[StoredChunk]


@dataclass(frozen=True, slots=True)
class Touch:
    """A newer event left the content as it is: move only the head's version.

    ``origin`` and ``batch_id`` replace the head's when an origin is given.
    """

    key: DocumentKey
    version: Version
    origin: Origin | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the chunks and leave a head that says deleted."""

    key: DocumentKey
    version: Version
    origin: Origin
    batch_id: str | None = None


Operation = Put | Touch | Delete


class Applied(enum.Enum):
    """What a store did with an operation."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"  # the store already has a newer version


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
    digest = hashlib.blake2b(digest_size=16)
    for part in (
        document.text.encode("utf-8", "surrogatepass"),
        _canonical(document.metadata),
        model.encode(),
        chunking.encode(),
    ):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _canonical(metadata: Mapping[str, Any]) -> bytes:
    """The metadata as JSON with sorted keys, integers of any size and lone surrogates too."""
    try:
        return orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(metadata, sort_keys=True, default=str).encode()


def chunk_id(key: DocumentKey, ordinal: int, model: str) -> uuid.UUID:
    """Return the deterministic id of a chunk: uuid5 of collection, document, chunk and model."""
    return uuid.uuid5(NAMESPACE, "\x1f".join((key.collection, key.id, str(ordinal), model)))


def anonymous_id(origin: Origin) -> str:
    """Return the id of a record that has neither id nor key: uuid5 of where it stands."""
    return str(uuid.uuid5(NAMESPACE, f"{origin.topic}\x1f{origin.partition}\x1f{origin.offset}"))
