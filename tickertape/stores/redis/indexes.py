"""What a server must have, and the indexes that are made on it.

A hash whose vector has another size is stored and not indexed, and nothing is said: vectors are
checked before, and each size has an index of its own. A search answers with part of what there is
after half a second, and nothing is said: each search names its own time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from redis.exceptions import ResponseError

from tickertape.errors import OutageError, StoreError
from tickertape.stores.redis.keys import Keys

log = structlog.get_logger("tickertape.stores.redis")

VERSION = 1
SEARCH_MIN = (2, 10)  # BM25STD
KEEPS = "noeviction"
SKIP_SCAN = ("SKIPINITIALSCAN",)  # where there is nothing yet to be indexed
Fields = Mapping[str, Sequence[Any]]
# What documents and chunks are looked up by; a document without a text has none of these
TAGS: Fields = dict.fromkeys(("tenant_key", "place", "fields"), ("TAG",))
# Words are stems already; where they stand in a passage is never asked
SCHEMAS: Mapping[str, tuple[Sequence[Any], Fields]] = {
    "documents": ((), TAGS),
    "words": (
        ("NOOFFSETS", "NOHL", "NOFIELDS", "STOPWORDS", 0),
        {"words": ("TEXT", "NOSTEM"), **TAGS},
    ),
}
# A chunk that is nobody's has these words, and this tag in each of its fields. Of chunks that
# something else is asked of, a union of at most 20 words leaves words out of the score; and what is
# asked counts as a word, a rare one, unless it is a union of its own, which may have no weight.
FILLER_WORDS = tuple(f"f{n}" for n in range(24))
FILLER_TAG = "filler"
# HNSW: neighbours of a vector, and candidates while it is put in
M, EF_CONSTRUCTION = 16, 200
# By a script, as what the client makes of the answer differs between its versions
INFO = "return redis.call('FT.INFO', ARGV[1])"


class Client(Protocol):
    """What is used of the client, whose own functions carry no types."""

    async def execute_command(self, *args: Any) -> Any:
        """Run a command."""


async def create(db: Client, keys: Keys) -> None:
    """Check the server, and create what is missing.

    Raises:
        StoreError: it has no search or an old one, throws keys away, or what is there is another
            program's or of another version.
    """
    info: dict[str, Any] = await db.execute_command("INFO", "everything")
    check_search(info.get("modules", ()))
    check_eviction(info)
    if not info.get("aof_enabled"):
        log.warning("redis_appendonly", enabled=False, lost="what was written, with the server")
    names = {
        keys.documents: (keys.of_documents, *SCHEMAS["documents"]),
        keys.words: (keys.of_chunks, *SCHEMAS["words"]),
    }
    # In this order: who makes them says so in `about` first
    there = {name.decode() for name in await db.execute_command("FT._LIST")} & set(names)
    try:
        if there and not await db.execute_command("HEXISTS", keys.about, "version"):
            raise StoreError(f"the index {min(there)} is another program's")
        fresh = await db.execute_command("HSETNX", keys.about, "version", VERSION)
        version = (await db.execute_command("HGET", keys.about, "version")).decode()
    except ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):
            raise
        raise StoreError(f"the key {keys.about} is another program's") from None
    if version != str(VERSION):
        raise StoreError(f"{keys.about} is of version {version}, this Tickertape reads {VERSION}")
    for name, (of, options, fields) in names.items():
        scan = SKIP_SCAN if fresh else ()
        if not await _create(db, name, of, (*options, *scan), fields):
            await _check(db, name, fields)
    tags = [part for tag in TAGS for part in (tag, FILLER_TAG)]
    await db.execute_command("HSET", keys.filler, "words", " ".join(FILLER_WORDS), *tags)


async def create_vectors(db: Client, keys: Keys, space: str, dimension: int, fresh: bool) -> None:
    """Create a space's vector index, unless it is there; ``fresh``: it has no vectors yet.

    Raises:
        OutageError: it was not there and has vectors: a search would find some of them.
    """
    kind = ("TYPE", "FLOAT32", "DIM", dimension, "DISTANCE_METRIC", "IP")
    hnsw = ("HNSW", 10, *kind, "M", M, "EF_CONSTRUCTION", EF_CONSTRUCTION)
    fields: Fields = {"vector": ("VECTOR", *hnsw), **TAGS}
    scan = SKIP_SCAN if fresh else ()
    name = keys.vectors(space)
    if await _create(db, name, keys.of_space(space), scan, fields) and not fresh:
        await _check_built(db, name)


async def ping(db: Client, keys: Keys) -> None:
    """Raise where the store is not all there, or not yet."""
    if not await db.execute_command("HEXISTS", keys.about, "version"):
        raise OutageError("store redis: what it keeps is gone", dependency="store:redis")
    names = [name.decode() for name in await db.execute_command("FT._LIST")]
    vectors = [name for name in names if name.startswith(keys.vectors(""))]
    for name in (keys.documents, keys.words, *vectors):
        await _check_built(db, name)


def check_search(modules: Iterable[Mapping[str, Any]]) -> None:
    """Raise `StoreError` where the server has no search, or an old one."""
    ver = next((int(module["ver"]) for module in modules if module["name"] == "search"), None)
    if ver is None:
        raise StoreError("the server has no search: take Redis 8, or load the module RediSearch")
    found = ver // 10_000, ver // 100 % 100
    if found < SEARCH_MIN:
        said = " is {}.{}, expected {}.{} or later".format(*found, *SEARCH_MIN)
        raise StoreError(f"the server's module RediSearch{said}")


def check_eviction(info: Mapping[str, Any]) -> None:
    """Raise `StoreError` where the server throws away what it has no room for."""
    policy = info.get("maxmemory_policy", KEEPS)
    if policy != KEEPS and info.get("maxmemory"):
        raise StoreError(f"the server's maxmemory-policy is {policy}, expected {KEEPS}")


async def _create(db: Client, name: str, of: str, options: Sequence[Any], fields: Fields) -> bool:
    """Make an index of the keys that begin so; False where it is there."""
    schema = [part for field, kind in fields.items() for part in (field, *kind)]
    try:
        await db.execute_command(
            "FT.CREATE", name, "ON", "HASH", "PREFIX", 1, of, *options, "SCHEMA", *schema
        )
    except ResponseError as error:
        if "already exists" not in str(error):
            raise
        return False
    return True


async def _check(db: Client, name: str, fields: Fields) -> None:
    info = await _info(db, name)
    there = [dict(zip(each[::2], each[1::2], strict=False)) for each in info["attributes"]]
    found = {each[b"attribute"].decode(): each[b"type"].decode() for each in there}
    if found != {field: kind[0] for field, kind in fields.items()}:
        raise StoreError(f"the index {name} is another program's")


async def _check_built(db: Client, name: str) -> None:
    if int((await _info(db, name))["indexing"]):
        raise OutageError(f"store redis: the server builds {name}", dependency="store:redis")


async def _info(db: Client, name: str) -> dict[str, Any]:
    """What the server says of an index, whose existence it says too."""
    answer = await db.execute_command("EVAL", INFO, 0, name)
    return {key.decode(): value for key, value in zip(answer[::2], answer[1::2], strict=True)}
