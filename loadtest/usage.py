"""What processes use: CPU, memory; and keeping one from using any."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

MB = 2**20


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all its threads."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def rss_mb(pid: int) -> float:
    """Return its resident memory."""
    return float(psutil.Process(pid).memory_info().rss) / MB


def peak_mb(pid: int) -> float:
    """Return the most resident memory that it ever had; what it has now where nobody knows."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else rss_mb(pid)


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Keep processes from running (SIGSTOP) while the block runs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
