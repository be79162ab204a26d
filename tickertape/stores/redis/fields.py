"""The fields of the metadata with their values, each once, whatever documents have them.

A document holds digests of its leaves, and of their names, which an index finds; what they stand
for is here, so that values can be compared. A leaf that no document has any more stays: it finds
nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tickertape.stores.conditions import Condition
from tickertape.stores.redis import scripts
from tickertape.stores.redis.connections import Command, Connections
from tickertape.stores.redis.keys import Keys, decoded, encoded
from tickertape.stores.texts import name

Leaf = tuple[str, str]  # a field's name and a canonical value, as `metadata.leaves` has them
STEP = 1_000  # of what is asked or written at a time


def remembering(keys: Keys, leaves: Iterable[Leaf]) -> Iterator[Command]:
    """Yield what writes them."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for field, value in leaves:
        values[field].add(value)
    for some in _steps(list(values)):
        yield ("SADD", keys.names, *map(encoded, some))
    for field, several in values.items():
        for some in _steps(list(several)):
            yield ("SADD", keys.values(field), *map(encoded, some))


def tag(leaves: Iterable[Leaf], *, names: bool = False) -> str:
    """Return what filters look up of a document or a chunk; with the names that are there too."""
    said = [name(*leaf).hex for leaf in leaves]
    if names:
        said += {name(field).hex for field, _ in leaves}
    return ",".join(said)


async def passing(db: Connections, asked: Condition) -> list[str]:
    """Return the digests of the leaves that pass."""
    values = asked.equal
    if values is None:
        (there,) = await db.read([("SMEMBERS", db.keys.values(asked.name))])
        values = asked.chosen(map(decoded, there))
    return [name(asked.name, value).hex for value in values]


async def names(db: Connections, tenant: str) -> list[str]:
    """Return the fields that a document of the tenant's has, sorted."""
    (there,) = await db.read([("SMEMBERS", db.keys.names)])
    fields = sorted(map(decoded, there))
    found = await _there(db, [name(field).hex for field in fields], tenant)
    return [field for field in fields if name(field).hex in found]


async def known(db: Connections, leaves: Iterable[Leaf], tenant: str) -> set[Leaf]:
    """Return those of these leaves that a document of the tenant's has."""
    named = {name(*leaf).hex: leaf for leaf in leaves}
    return {named[digest] for digest in await _there(db, list(named), tenant)}


async def _there(db: Connections, digests: Sequence[str], tenant: str) -> set[str]:
    """Those that a document has."""
    found: set[str] = set()
    for some in _steps(digests):
        args = (db.keys.documents, name(tenant).hex, *some)
        counts = await db.run(scripts.HOW_MANY, [], args)
        found.update(digest for digest, count in zip(some, counts, strict=True) if count)
    return found


def _steps(several: Sequence[str]) -> Iterator[Sequence[str]]:
    for low in range(0, len(several), STEP):
        yield several[low : low + STEP]
