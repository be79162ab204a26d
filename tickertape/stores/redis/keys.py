"""What is where in Redis: names of keys, and texts as bytes.

``PREFIX:`` and then

- ``about``: which version of this it is;
- ``i:NAME``: an id of a tenant's: its guard, what was deleted under it, its documents;
- ``d:NAME``: a document's head; ``s:NAME`` its summary;
- ``c:SPACE:NUMBER``: a chunk, of a number that no other ever has; ``c:filler`` is nobody's;
- ``m:NAME``: a tenant's model: how many numbers its vectors have, and how many there are;
- ``t:NAME``: the NAMEs of a tenant's documents;
- ``names``: the fields of all metadata; ``f:NAME``: the values of one;
- ``numbers``, ``expiry``: the last number of a chunk; ids by the time of what will be forgotten.

A NAME is the digest of texts of any length (`texts.name`); a SPACE that of a tenant's model with
the size of its vectors, and has a vector index of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from tickertape.documents import DocumentKey
from tickertape.stores.prepare import Space
from tickertape.stores.texts import name
from tickertape.stores.window import Id

NUMBER_BITS = 64
Places = Mapping[int, int]  # a document's chunks: ordinal, number


class Keys:
    """The names under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.about, self.names, self.numbers, self.expiry = (
            f"{prefix}:{part}" for part in ("about", "names", "numbers", "expiry")
        )
        # Indexes
        self.documents, self.words = f"{prefix}:documents", f"{prefix}:words"
        # What keys of a kind begin with
        self.of_documents, self.of_chunks = f"{prefix}:d:", f"{prefix}:c:"
        self.filler = f"{self.of_chunks}filler"

    def id(self, named: str) -> str:
        """Return the key of an id."""
        return f"{self.prefix}:i:{named}"

    def document(self, named: str) -> str:
        """Return the key of a document."""
        return self.of_documents + named

    def tenant(self, tenant: str) -> str:
        """Return the key of a tenant's documents."""
        return f"{self.prefix}:t:{name(tenant).hex}"

    def values(self, field: str) -> str:
        """Return the key of the values that a field of the metadata has."""
        return f"{self.prefix}:f:{name(field).hex}"

    def summary(self, named: str) -> str:
        """Return the key of a document's summary."""
        return f"{self.prefix}:s:{named}"

    def model(self, tenant: str, model: str) -> str:
        """Return the key of a tenant's model."""
        return f"{self.prefix}:m:{name(tenant, model).hex}"

    def chunk(self, space: str, number: int) -> str:
        """Return the key of a chunk."""
        return f"{self.of_space(space)}{number}"

    def numbered(self, number: int) -> str:
        """Return the key of the chunk that the whole store calls so."""
        space, of_space = divmod(number, 1 << NUMBER_BITS)
        return self.chunk(f"{space:032x}", of_space)

    def of_space(self, space: str) -> str:
        """Return what the keys of a space's chunks begin with."""
        return f"{self.of_chunks}{space}:"

    def vectors(self, space: str) -> str:
        """Return the vector index of a space."""
        return f"{self.prefix}:vectors:{space}"


def number_of(key: bytes) -> int:
    """Return how the whole store calls a chunk."""
    _, space, number = key.decode().rsplit(":", 2)
    return int(space, 16) << NUMBER_BITS | int(number)


def id_name(id: Id) -> str:
    """Return what an id is looked up by."""
    return name(*id).hex


def document_name(key: DocumentKey) -> str:
    """Return what a document is looked up by."""
    return name(key.tenant, key.collection, key.id).hex


def space_name(space: Space) -> str:
    """Return what a space is looked up by."""
    tenant, model, dimension = space
    return name(tenant, model, str(dimension)).hex


def encoded(text: str) -> bytes:
    """Return any text as Redis takes it, which is any bytes."""
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> str:
    """Return what `encoded` was given."""
    return data.decode("utf-8", "surrogatepass")


def dump_places(places: Places) -> bytes:
    """Return them as runs of ordinal, number and how many: one, where a text came whole."""
    runs: list[list[int]] = []
    for ordinal, number in sorted(places.items()):
        if runs and ordinal - runs[-1][0] == number - runs[-1][1] == runs[-1][2]:
            runs[-1][2] += 1
        else:
            runs.append([ordinal, number, 1])
    return orjson.dumps(runs)


def load_places(data: bytes) -> dict[int, int]:
    """Read what `dump_places` wrote."""
    return {
        ordinal + n: number + n
        for ordinal, number, count in orjson.loads(data)
        for n in range(count)
    }
