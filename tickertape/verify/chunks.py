"""What is looked at inside a document: its chunks and their vectors. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tickertape.documents import StoredDocument, Vector
from tickertape.editions import WHOLE
from tickertape.verify.findings import Finding, Kind

ALIKE = 0.99  # cosine of a vector and its copy: half precision costs less


def inside(store: str, stored: StoredDocument, dimensions: dict[str, int]) -> Iterator[Finding]:
    """Yield what is wrong in itself. ``dimensions`` are those of the models that were seen."""
    head, chunks = stored.head, stored.chunks
    ordinals = [chunk.ordinal for chunk in chunks]
    there = set(ordinals)

    def found(kind: Kind, detail: str) -> Finding:
        return Finding(kind, store, head.key, detail)

    if len(there) < len(ordinals):
        twice = min(number for number in there if ordinals.count(number) > 1)
        yield found(Kind.DOUBLED, f"chunk {twice} is there {ordinals.count(twice)} times")
    if len(there) != head.chunk_count:
        yield found(Kind.DAMAGED, f"{len(there)} chunks, its head says {head.chunk_count}")
    whole = [edition.part for edition in head.editions.shown] == [WHOLE]
    if whole and there != set(range(len(there))):
        yield found(Kind.DAMAGED, f"chunk {min(set(range(max(there))) - there)} is not there")
    for chunk in chunks:
        expected = dimensions.setdefault(stored.model or "", len(chunk.vector))
        if len(chunk.vector) != expected:
            detail = f"chunk {chunk.ordinal} has {len(chunk.vector)} numbers, {expected} expected"
            yield found(Kind.DAMAGED, detail)
            return
        if not np.isfinite(chunk.vector).all():
            yield found(Kind.DAMAGED, f"chunk {chunk.ordinal} has a vector with NaN or infinity")
            return


def unlike(store: str, ledger: StoredDocument, stored: StoredDocument) -> Iterator[Finding]:
    """Yield how a copy differs from the ledger's document, of which it has the head."""
    mine = {chunk.ordinal: chunk for chunk in stored.chunks}
    for chunk in ledger.chunks:
        other = mine.get(chunk.ordinal)
        if other is None:
            continue  # told by `inside`
        text = (chunk.text, chunk.start, chunk.end) == (other.text, other.start, other.end)
        if not text:
            detail = f"chunk {chunk.ordinal} has another text"
        elif (near := cosine(chunk.vector, other.vector)) < ALIKE:
            detail = f"chunk {chunk.ordinal} has another vector (cosine {near:.3f})"
        else:
            continue
        yield Finding(Kind.DAMAGED, store, ledger.head.key, detail)
        return
    if (ledger.metadata, ledger.model, ledger.source) != (
        *(stored.metadata, stored.model, stored.source),
    ):
        detail = "its metadata, model or source is another"
        yield Finding(Kind.DAMAGED, store, ledger.head.key, detail)


def cosine(one: Vector, other: Vector) -> float:
    """Return how alike two vectors are; those of different sizes are not at all."""
    if one.shape != other.shape:
        return 0.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else float((a == b).all())
