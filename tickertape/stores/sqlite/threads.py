"""Connections and the threads they belong to: one writer, a few readers, off the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import apsw

from tickertape.errors import OutageError, PermanentError, StoreError, TransientError
from tickertape.stores.sqlite import schema

T = TypeVar("T")

READERS = 4
BUSY_SECONDS = 5.0  # a writer waits so long for other processes, then its flow is held
BUSY_STEP_SECONDS = 0.005
MEND = "stop every worker that has it open, put it back, and start them again"

# The database or its disk is at fault, for everybody.
OUTAGES = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    apsw.InterruptError,
    apsw.ConnectionClosedError,
)


class Threads:
    """Runs functions ``(connection, *args)`` on the writer's thread or on a reader's."""

    def __init__(self, path: Path, store: str) -> None:
        self._path, self._store = path, store
        self.dependency = f"store:{store}"
        self._stopping = threading.Event()
        self._writer = _Pool(1, "sqlite-writer", self._connect)
        self._readers = _Pool(READERS, "sqlite-reader", self._connect)

    async def open(self) -> None:
        """Open the writer's connection and create the tables.

        Raises:
            StoreError: the file cannot be opened, or is not ours.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            await self._writer.run(schema.create, ())
            self._identities = {path: _identity(path) for path in self._files()}
        except (apsw.Error, OSError, ValueError) as error:
            raise StoreError(f"cannot open the store {self._path}: {error}") from error

    async def write(self, function: Callable[..., T], *args: object) -> T:
        """Run on the writer's connection, one call after the other. What is confirmed was written
        to files that were in place afterwards."""

        def checked(connection: apsw.Connection, *args: object) -> T:
            try:
                self.check_files()
                result = function(connection, *args)
                self.check_files()
            except OutageError:
                self._save(connection)
                raise
            return result

        with self._translated():
            return await self._writer.run(checked, args)

    async def read(self, function: Callable[..., T], *args: object) -> T:
        """Run on one of the readers' connections."""
        with self._translated():
            return await self._readers.run(function, args)

    async def close(self) -> None:
        """End the threads and close. A transaction that runs is finished, a search is cut.

        The writer closes last: the last connection to close moves the WAL into the file.
        """
        self._stopping.set()
        await asyncio.to_thread(self._readers.close, interrupt=True)
        await asyncio.to_thread(self._writer.close, interrupt=False)

    def check_files(self) -> None:
        """Raise where a file was removed or replaced under us: writes to it would be lost.

        SQLite makes the write-ahead log and its index when it opens the database, and keeps them
        for as long as somebody has it open. A process that comes after they were removed makes
        others, and none of the two sees what the other one writes.
        """
        for path, identity in self._identities.items():
            try:
                now = _identity(path)
            except OSError as error:
                raise OutageError(
                    f"{path}: {error.strerror}: {MEND}", dependency=self.dependency
                ) from None
            if now != identity:
                raise OutageError(f"{path} was replaced: {MEND}", dependency=self.dependency)

    def _save(self, connection: apsw.Connection) -> None:
        """Move what was confirmed from a log that was removed into the file. The connection still
        has it open; where the log's name is there again, others write to another one already."""
        wal = self._path.with_name(self._path.name + "-wal")
        if not wal.exists() and self._path.exists():
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)

    def _files(self) -> list[Path]:
        files = [self._path.with_name(self._path.name + end) for end in ("", "-wal", "-shm")]
        return [path for path in files if path.exists()]

    def _connect(self) -> apsw.Connection:
        return schema.connect(self._path, self._busy_handler())

    def _busy_handler(self) -> Callable[[int], bool]:
        """Waits in short steps, which a stopping store gives up at once."""
        deadline = 0.0

        def wait(calls: int) -> bool:
            nonlocal deadline
            now = time.monotonic()
            if calls == 0:
                deadline = now + BUSY_SECONDS
            return now < deadline and not self._stopping.wait(BUSY_STEP_SECONDS)

        return wait

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise SQLite's errors as ours."""
        if self._stopping.is_set():
            raise OutageError("the store is closed", dependency=self.dependency)
        try:
            yield
        except OUTAGES as error:
            kind = type(error).__name__.removesuffix("Error")
            raise OutageError(
                f"{self._path}: {kind}: {error}", dependency=self.dependency
            ) from error
        except apsw.Error as error:
            raise TransientError(f"{self._path}: {error}", dependency=self.dependency) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise PermanentError(f"store {self._store}: {type(error).__name__}: {error}") from error


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


class _Pool:
    """Threads with a connection each, opened at a thread's first call."""

    def __init__(self, size: int, name: str, connect: Callable[[], apsw.Connection]) -> None:
        self._executor = ThreadPoolExecutor(size, name)
        self._connect = connect
        self._local = threading.local()
        self._connections: list[apsw.Connection] = []
        self._closing = False

    async def run(self, function: Callable[..., T], args: Sequence[object]) -> T:
        """Call ``function(connection, *args)`` on a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._call, function, args)

    def close(self, *, interrupt: bool) -> None:
        """Fail what is queued, wait for what runs, or interrupt it; close. Blocks."""
        self._closing = True
        for connection in self._connections if interrupt else ():
            connection.interrupt()
        self._executor.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    def _call(self, function: Callable[..., T], args: Sequence[object]) -> T:
        if self._closing:
            raise apsw.ConnectionClosedError("the store is closed")
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._connections.append(connection)
        return function(connection, *args)
