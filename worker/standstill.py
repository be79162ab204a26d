"""What tasks wait for, for the log line of a stop that hung."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

PLACES_MAX = 40


def waits(loops: Iterable[asyncio.AbstractEventLoop]) -> list[str]:
    """Return where each unfinished task of these loops stands, from its outermost call to what it
    awaits; each place once. May be called from another thread, where the loops still run.
    """
    tasks = [task for loop in loops for task in asyncio.all_tasks(loop)]
    places = {" > ".join(map(_place, _frames(task.get_coro()))) for task in tasks}
    return sorted(place for place in places if place)[:PLACES_MAX]


def _frames(awaited: Any) -> Iterator[FrameType]:
    """The frames of a coroutine and of what it awaits, as far as they are Python's."""
    while awaited is not None:
        frame = next(
            (
                found
                for name in ("cr_frame", "gi_frame", "ag_frame")
                if (found := getattr(awaited, name, None)) is not None
            ),
            None,
        )
        if frame is not None:
            yield frame
        awaited = next(
            (
                found
                for name in ("cr_await", "gi_yieldfrom", "ag_await")
                if (found := getattr(awaited, name, None)) is not None
            ),
            None,
        )


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{Path(code.co_filename).stem}.{code.co_name}:{frame.f_lineno}"
