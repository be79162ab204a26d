"""The worker as a child process, with its log in a file."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STOP_SECONDS_MAX = 30.0  # it drains within 10, and gives its broker some more
POLL_SECONDS = 0.05
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class WorkerDied(Exception):
    """The worker ended by itself. ``code`` is its exit code, ``tail`` the end of its log."""

    def __init__(self, code: int, tail: list[str]) -> None:
        self.code = code
        self.tail = tail
        super().__init__(f"the worker ended with exit code {code}")


class WorkerProcess:
    """``faust -A app worker``, started from the checkout's root. The log of the run before is
    kept beside it, as ``.1``."""

    def __init__(self, root: Path, log: Path, environ: Mapping[str, str]) -> None:
        self.log = log
        self._root = root
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0

    def start(self) -> None:
        """Start it. Raises OSError when the log cannot be written."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_name(f"{self.log.name}.1"))
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "faust", "-A", "app", "worker"],
                cwd=self._root,
                env={**self._environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: we then stop it in order
            )

    @property
    def running(self) -> bool:
        """True from `start` until it has ended."""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raise `WorkerDied` when it is not running."""
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            raise WorkerDied(code, self.tail())

    async def stop(self) -> bool:
        """Ask it to end and wait; return whether it did so by itself within half a minute."""
        process = self._process
        if process is None or not self.running:
            return True
        os.kill(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                while process.poll() is None:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return False
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return True

    def news(self) -> list[dict[str, Any]]:
        """Return the log's entries since the last call; lines that are no JSON are left out."""
        with self.log.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        found = (_entry(line) for line in whole.decode("utf-8", "replace").splitlines())
        return [entry for entry in found if entry is not None]

    def tail(self, lines: int = 15) -> list[str]:
        """Return the last lines of the log, readable and without control characters."""
        shown: list[str] = []
        for line in self.log.read_text("utf-8", "replace").splitlines():
            entry = _entry(line)
            text = line if entry is None else _readable(entry)
            shown += [clean for part in text.splitlines() if (clean := _CONTROL.sub("", part))]
        return shown[-lines:]


def _entry(line: str) -> dict[str, Any] | None:
    # Faust writes a code to the terminal, cursor on, which may stand before an entry
    try:
        entry = json.loads(_CONTROL.sub("", line))
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _readable(entry: Mapping[str, Any]) -> str:
    """``11:26:44 info open model=... stores=...``, and the traceback below where there is one."""
    known = ("timestamp", "level", "event", "logger", "exception")
    more = " ".join(f"{name}={value}" for name, value in entry.items() if name not in known)
    time = str(entry.get("timestamp", ""))[11:19]
    line = f"{time} {entry.get('level', '')} {entry.get('event', '')} {more}".strip()
    return f"{line}\n{entry['exception']}" if "exception" in entry else line
