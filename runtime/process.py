"""The process: its garbage collector and its memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc

GC_THRESHOLDS = (50_000, 10, 100)
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h
LARGE_BYTES = 2**20
ARENAS = 2


def tune() -> None:
    """Set both up, once all that stays is loaded."""
    _collect_seldom()
    _give_memory_back()


def _collect_seldom() -> None:
    """Let the garbage collector look through windows, not records: a sixth of a worker's time.

    What is there now stays for good; records are freed by their reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _give_memory_back() -> None:
    """Let a large buffer's memory go back to the system when it is freed, where libc is glibc.

    By itself glibc learns from the first large record to keep such blocks in its heaps, one for
    each few threads, where they stay in pieces (mallopt(3): M_MMAP_THRESHOLD, M_ARENA_MAX).
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)
