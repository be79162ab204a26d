"""Processes by identity, never by number alone: a pid is given again after its owner died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.05
CLOCK_SECONDS = 2.0  # a process's start is worked out from the clock, which may be set


def created(pid: int) -> float | None:
    """Return when the process started (epoch seconds); None where it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, told apart from a later one that was given its pid."""

    pid: int
    created: float

    @classmethod
    def mine(cls) -> Identity:
        """Return this process."""
        return cls(os.getpid(), psutil.Process().create_time())

    @property
    def alive(self) -> bool:
        """True while that very process runs."""
        now = created(self.pid)
        return now is not None and abs(now - self.created) < CLOCK_SECONDS


@dataclass(frozen=True, slots=True)
class Running:
    """What the pid file says of a broker. ``stopping``: it was told to end."""

    pid: int
    port: int
    stopping: bool = False

    def save(self, path: Path) -> None:
        """Write the pid file, whole or not at all."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)), "ascii")
        new.replace(path)


def find(path: Path, mark: str) -> Running | None:
    """Return the live broker: the pid file's, else any process of ours with that mark.

    ``mark`` is the last argument of the broker's command line, which no other process has:
    the path of its server.properties. The second search finds a broker whose starter was
    killed before it wrote the pid file; its port is 0, as only that file knows it.
    """
    try:
        found = Running(**json.loads(path.read_text("ascii")))
    except (OSError, ValueError, TypeError):
        found = None
    if found and alive(found.pid, mark):
        return found
    for process in psutil.process_iter():
        if alive(process.pid, mark):
            return Running(process.pid, 0)
    return None


def spawn(command: list[str], log: Path) -> int:
    """Start a broker that outlives us and return its pid; the log before is kept as log.1."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own Java
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env={**os.environ, "LC_ALL": "C.UTF-8"},  # paths in any alphabet
            start_new_session=True,  # neither our Ctrl-C nor our end is the broker's
        )
    process.returncode = 0  # `_reap` collects it: no warning when we end before it
    child = psutil.Process(process.pid)
    while not _command(child) and child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(POLL_SECONDS / 10)  # for a moment after exec it has no command line
    return process.pid


def alive(pid: int, mark: str) -> bool:
    """True while the broker of that mark runs under that pid."""
    try:
        process = psutil.Process(pid)
        _reap(process)
    except psutil.Error:
        return False
    return _command(process)[-1:] == [mark]


def end(pid: int, mark: str, seconds: float, *, at_once: bool = False) -> bool:
    """Ask the broker to end (SIGTERM), or end it ``at_once`` (SIGKILL); return whether it has.

    Waits at most so long. Nothing is sent where the pid is another's.
    """
    began = created(pid)
    if began is None or not alive(pid, mark):
        return True
    broker = Identity(pid, began)
    os.kill(pid, signal.SIGKILL if at_once else signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while broker.alive:  # its command line goes before its sockets do
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    alive(pid, mark)  # collects it
    return True


def _command(process: psutil.Process) -> list[str]:
    """Its command line; empty where it is gone, a zombie or not ours to see."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _reap(process: psutil.Process) -> None:
    """A broker that we started ourselves is our child: collect it when it has ended."""
    if process.ppid() == os.getpid() and process.status() == psutil.STATUS_ZOMBIE:
        process.wait(0)
