"""Connections to the server: a pool, time-outs that hold whatever it does, errors as ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from redis import exceptions as client
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tickertape.errors import OutageError, StoreError, Timeout, TransientError
from tickertape.mask import mask
from tickertape.stores.faults import Faults, Row
from tickertape.stores.redis import indexes, scripts
from tickertape.stores.redis.keys import Keys

NAME = "redis"
POOL_MAX = 8  # two windows a flow, and searches
CONNECT_SECONDS_MAX = 10.0
CLOSE_SECONDS = 2.0
BACKOFF_SECONDS, BACKOFF_SECONDS_MAX = 0.001, 0.1  # where somebody else was faster

# What an answer begins with that says how the server stands, and nothing of what was asked
UNABLE = (
    *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM", "NOREPLICAS"),
    *("OOM", "READONLY", "TRYAGAIN", "UNKILLABLE", "WRONGPASS"),
)
NO_INDEX = ("no such index", "Unknown index name", "Unknown Index name")  # somebody dropped it


class Unable(client.ResponseError):
    """An answer that says how the server stands."""


ROWS: tuple[Row, ...] = (
    (client.TimeoutError, Timeout),
    (
        (
            client.ConnectionError,  # of authentication, too many clients, and loading too
            client.NoPermissionError,
            client.ReadOnlyError,  # it became a replica
            client.OutOfMemoryError,
            Unable,
        ),
        OutageError,
    ),
    (client.RedisError, TransientError),
)
BROKEN = (OSError, client.RedisError)

Guard = tuple[str, str, bytes]  # a key, its field, and the value that was read there
Command = Sequence[Any]


class Connections:
    """A pool on one server. Every call ends within ``timeout`` seconds, or soon after."""

    def __init__(self, url: str, prefix: str, timeout: float) -> None:
        self.keys = Keys(prefix)
        self.faults = Faults(NAME, ROWS, mask)
        self._url, self.timeout = url, timeout
        self._client: Redis | None = None
        self._scripts: dict[str, Any] = {}
        self._indexed: set[str] = set()  # spaces

    async def open(self) -> None:
        """Connect, and create what is missing.

        Raises:
            StoreError: it cannot be used as it is.
        """
        self._indexed.clear()
        try:
            pool = BlockingConnectionPool.from_url(
                self._url,
                protocol=2,
                max_connections=POOL_MAX,
                timeout=self.timeout,
                socket_timeout=self.timeout,
                socket_connect_timeout=min(self.timeout, CONNECT_SECONDS_MAX),
                # Once more where a connection is lost, as all are that were open when a server
                # ended. What was done on one that is lost is done again, with the same end.
                retry=Retry(NoBackoff(), 1, (client.ConnectionError,)),
                client_name="tickertape",
            )
            self._client = Redis(connection_pool=pool)
            async with asyncio.timeout(2 * self.timeout):
                await indexes.create(self._client, self.keys)
        except StoreError as error:
            await self.close()
            raise StoreError(f"store {NAME}: {error}") from None
        except (*BROKEN, ValueError) as error:
            await self.close()
            line = self.faults.line(error)
            raise StoreError(f"store {NAME}: cannot be opened (REDIS_URL): {line}") from None
        self._scripts = {source: self._client.register_script(source) for source in scripts.EVERY}

    async def close(self) -> None:
        """End the connections."""
        opened, self._client = self._client, None
        if opened is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await opened.aclose()
                await opened.connection_pool.disconnect()
        except BROKEN:
            return  # what does not end by itself ends with the process

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Redis]:
        """Lend the client."""
        if self._client is None:
            raise OutageError("the store is not started", dependency=self.faults.dependency)
        with self.faults.translated(), _told():
            async with asyncio.timeout(self.timeout):
                yield self._client

    async def run(self, script: str, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        """Run one of `scripts`."""
        return await self._scripts[script](keys=keys, args=args)

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands together, with nothing of anybody else's in between; return the answers."""
        assert self._client is not None
        if not commands:
            return []
        async with self._client.pipeline(transaction=True) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return list(await pipe.execute())

    async def apply(self, guards: Sequence[Guard], commands: Sequence[Command]) -> bool:
        """Do all of the commands, or none where what was read before is not so any more."""
        keys: list[str] = [self.keys.about]
        args: list[Any] = ["version", str(indexes.VERSION)]
        for key, field, value in guards:
            keys.append(key)
            args += (field, value)
        for command in commands:
            args.append(len(command))
            args += command
        failed = await self.run(scripts.APPLY, keys, args)
        if failed == 1:
            said = f"store {NAME}: what it keeps is gone, or of another version"
            raise OutageError(said, dependency=self.faults.dependency)
        return bool(failed == 0)

    async def index(self, space: str, dimension: int, *, fresh: bool = False) -> None:
        """See to it that a space has its vector index; ``fresh``: it has no vectors yet.

        Raises:
            OutageError: somebody had removed it, and the server builds it anew.
        """
        if space not in self._indexed and self._client is not None:
            await indexes.create_vectors(self._client, self.keys, space, dimension, fresh)
            self._indexed.add(space)


async def wait(attempt: int) -> None:
    """Wait a moment before what somebody else was faster at is tried again."""
    limit = min(BACKOFF_SECONDS * 2**attempt, BACKOFF_SECONDS_MAX)
    await asyncio.sleep(random.uniform(0, limit))


@contextmanager
def _told() -> Iterator[None]:
    """Tell answers about the server from those about what was asked."""
    try:
        yield
    except client.ResponseError as error:
        said = str(error)
        if said.startswith(UNABLE) or any(text in said for text in NO_INDEX):
            raise Unable(said) from error
        raise
