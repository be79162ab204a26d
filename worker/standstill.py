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
        if (frame := _first(awaited, "cr_frame", "gi_frame", "ag_frame")) is not None:
            yield frame
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first(awaited: Any, *names: str) -> Any:
    """What a coroutine, a generator and an asynchronous generator call by a name each."""
    found = (getattr(awaited, name, None) for name in names)
    return next((each for each in found if each is not None), None)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{Path(code.co_filename).stem}.{code.co_name}:{frame.f_lineno}"
