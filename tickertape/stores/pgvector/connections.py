"""Connections to the server: a pool, time-outs that hold whatever it does, errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from asyncpg import exceptions as pg
from pgvector.asyncpg import register_vector

from tickertape.errors import OutageError, PermanentError, StoreError, Timeout, TransientError
from tickertape.mask import mask
from tickertape.stores.faults import Faults, Row
from tickertape.stores.pgvector import tables

NAME = "pgvector"
POOL_MAX = 8  # two windows a flow, and searches
CONNECT_SECONDS_MAX = 10.0
CLOSE_SECONDS = 2.0
LOCK_SECONDS = 5.0  # a window waits so long for another's documents, then its flow is held

ROWS: tuple[Row, ...] = (
    # Before their base classes
    (pg.ConnectionDoesNotExistError, TransientError),  # lost in the middle of a call
    (pg.QueryCanceledError, Timeout),
    ((pg.DeadlockDetectedError, pg.SerializationError), TransientError),
    (
        (
            pg.PostgresConnectionError,
            pg.InvalidAuthorizationSpecificationError,  # wrong or expired credentials
            pg.InvalidCatalogNameError,
            pg.InsufficientPrivilegeError,
            pg.InsufficientResourcesError,  # disk full, memory, too many connections
            pg.OperatorInterventionError,  # it stops, starts, or recovers
            pg.LockNotAvailableError,
            pg.ReadOnlySQLTransactionError,  # it became a replica
            pg.UndefinedTableError,  # somebody dropped them
            pg.InvalidSchemaNameError,
            pg.PostgresSystemError,
            pg.InternalServerError,
        ),
        OutageError,
    ),
    ((pg.DataError, pg.ProgramLimitExceededError), PermanentError),
    (pg.PostgresError, TransientError),
    ((pg.InterfaceError, pg.InternalClientError), TransientError),
)
# Of a connection that cannot be used as it is; asyncpg's own state is wrong at times where the
# server cuts a connection off. `TimeoutError` is an `OSError`.
BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, pg.InternalClientError)


class Connections:
    """A pool on one server. Every call ends within ``timeout`` seconds, or soon after."""

    def __init__(self, url: str, schema: str, vectors: str, timeout: float) -> None:
        self._url, self._schema, self._vectors, self._timeout = url, schema, vectors, timeout
        self._pool: asyncpg.Pool | None = None
        self._settings: dict[str, str] = {}  # of the server, for a session of ours
        self.faults = Faults(NAME, ROWS, mask)

    async def open(self) -> None:
        """Create what is missing, and connect.

        Raises:
            StoreError: it cannot be used as it is.
        """
        limit = f"{int(self._timeout * 1000)}ms"
        connect_seconds = min(self._timeout, CONNECT_SECONDS_MAX)
        try:
            async with asyncio.timeout(2 * self._timeout) as patience:
                first = await asyncpg.connect(self._url, timeout=connect_seconds)
                try:
                    where = await tables.create(
                        first, self._schema, self._vectors, lambda: patience.reschedule(None)
                    )
                finally:
                    await _close(first)

                self._settings = {
                    "search_path": f'"{self._schema}", "{where}"',
                    "application_name": "tickertape",
                    "jit": "off",  # takes longer than any query of ours
                    "statement_timeout": limit,
                    "lock_timeout": f"{int(LOCK_SECONDS * 1000)}ms",
                    # of a worker that is stopped in the middle of a window
                    "idle_in_transaction_session_timeout": limit,
                }

                async def prepare(db: asyncpg.Connection) -> None:
                    await register_vector(db, schema=where)

                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=POOL_MAX,
                    init=prepare,
                    timeout=connect_seconds,
                    command_timeout=self._timeout,
                    server_settings=self._settings,
                )
        except StoreError as error:
            raise StoreError(f"store {NAME}: {error}") from None
        except (*BROKEN, ValueError) as error:
            line = self.faults.line(error)
            raise StoreError(f"store {NAME}: cannot be opened (DATABASE_URL): {line}") from None

    async def close(self) -> None:
        """End the connections; what does not end soon is cut off, and the server rolls back."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except BROKEN:
            pool.terminate()

    @asynccontextmanager
    async def use(self, begin: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection, in a transaction where ``begin`` says how it begins.

        A connection on which something ran out of time, or was given up, is cut off: whatever it
        waits for, nobody does any more, and the server rolls back.
        """
        pool = self._pool
        if pool is None:
            raise OutageError("the store is not started", dependency=self.faults.dependency)
        with self.faults.translated():
            db = await self._acquire(pool)
            try:
                async with asyncio.timeout(self._timeout):
                    if begin is None:
                        yield db
                    else:
                        await db.execute(begin)
                        yield db
                        await db.execute("COMMIT")
            except (TimeoutError, asyncio.CancelledError):
                db.terminate()
                raise
            except BaseException:
                if begin is not None and not db.is_closed():
                    await self._roll_back(db)
                raise
            finally:
                await pool.release(db, timeout=self._timeout)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection of its own without time-outs, for what takes as long as it takes."""
        with self.faults.translated():
            db = await asyncpg.connect(
                self._url,
                timeout=min(self._timeout, CONNECT_SECONDS_MAX),
                server_settings={**self._settings, "statement_timeout": "0", "lock_timeout": "0"},
            )
            try:
                yield db
            finally:
                await _close(db)

    async def _acquire(self, pool: asyncpg.Pool) -> asyncpg.Connection:
        try:
            return await pool.acquire(timeout=self._timeout)
        except TimeoutError:
            said = f"store {NAME}: no connection in {self._timeout:g} s"
            raise OutageError(said, dependency=self.faults.dependency) from None

    async def _roll_back(self, db: asyncpg.Connection) -> None:
        try:
            await db.execute("ROLLBACK")
        except BROKEN:
            db.terminate()


async def _close(db: asyncpg.Connection) -> None:
    try:
        await db.close(timeout=CLOSE_SECONDS)
    except BROKEN:
        db.terminate()
