"""What is done with a Put before a store is asked: checked, and made ready to insert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tickertape import facets, terms
from tickertape.documents import DocumentKey, Put, StoredChunk, Vectors
from tickertape.editions import Edition
from tickertape.errors import InvalidRecord
from tickertape.stores.metadata import dump, leaves
from tickertape.versions import Origin

Space = tuple[str, str, int]  # tenant, model, dimension
TITLE = ("title", "company", "document_type")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A Put: ``vectors`` as float32 [chunks, dimension], ``words`` as searched, a chunk each."""

    put: Put
    vectors: Vectors
    words: Sequence[str]
    metadata: str
    fields: Sequence[tuple[str, str]]
    title: str

    @property
    def key(self) -> DocumentKey:
        """The document's."""
        return self.put.key

    @property
    def edition(self) -> Edition:
        """The event's."""
        return self.put.edition

    @property
    def origin(self) -> Origin:
        """The document's."""
        return self.put.origin

    @property
    def space(self) -> Space:
        """Where its vectors belong; means nothing where there are none."""
        return self.key.tenant, self.put.model, self.vectors.shape[1]


def prepare(put: Put) -> Prepared:
    """Check and encode.

    Raises:
        InvalidRecord: vectors of different sizes, or with NaN or infinity.
        TypeError: metadata that JSON cannot hold.
    """
    metadata = put.document.metadata
    return Prepared(
        put,
        _vectors(put.chunks),
        [words(chunk.text) for chunk in put.chunks],
        dump(metadata) if metadata else "{}",
        fields(metadata, put.key.id),
        title(metadata),
    )


def plain(text: str) -> str:
    """Return the text as a keyword index can take it: NUL is a space, a lone surrogate is "?"."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


def words(text: str) -> str:
    """Return a passage as the keyword index gets it."""
    return terms.indexed(plain(text))


def fields(metadata: Mapping[str, Any], id: str) -> Sequence[tuple[str, str]]:
    """Return what filters look up of a document: names with values, and what its company, period
    and form are (`tickertape.facets`)."""
    found = {*leaves(metadata)} if metadata else set()
    return sorted({*found, *facets.of_document(metadata, id).leaves()})


def title(metadata: Mapping[str, Any]) -> str:
    """Return what the keyword index gets beside each passage of a document."""
    said = " ".join(value for name in TITLE if isinstance(value := metadata.get(name), str))
    symbol = metadata.get("ticker")
    known = terms.ticker(plain(symbol)) if isinstance(symbol, str) else ""
    return f"{words(said)} {known}".strip()


def _vectors(chunks: Sequence[StoredChunk]) -> Vectors:
    if not chunks:
        return np.empty((0, 0), np.float32)
    dimension = len(chunks[0].vector)
    for chunk in chunks:
        if chunk.vector.shape != (dimension,) or not dimension:
            expected = f"{dimension or 'some'} numbers"
            raise InvalidRecord(_name(chunk), expected, f"shape {chunk.vector.shape}")
    vectors = np.array([chunk.vector for chunk in chunks], np.float32)
    if not np.isfinite(vectors).all():
        wrong = next(c for c in chunks if not np.isfinite(np.asarray(c.vector, np.float32)).all())
        raise InvalidRecord(_name(wrong), "finite numbers", "NaN or infinity")
    return vectors


def _name(chunk: StoredChunk) -> str:
    return f"vector of chunk {chunk.ordinal}"
