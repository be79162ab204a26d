"""Stands in for the event of a stream, inside which alone Faust lets a table be written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from faust.streams import _current_event


@contextlib.contextmanager
def table_partition(topic: str, partition: int) -> Iterator[None]:
    """Let a Faust table be written outside stream iteration, to this partition's changelog."""
    event = _Event(topic, partition)
    token = _current_event.set(cast(Any, _Ref(event)))
    try:
        yield
    finally:
        _current_event.reset(token)


class _Event:
    """As much of an event as a table asks for."""

    def __init__(self, topic: str, partition: int) -> None:
        self.message = SimpleNamespace(topic=topic, partition=partition)


class _Ref:
    """A weak reference's call, to an event that is kept."""

    def __init__(self, event: _Event) -> None:
        self._event = event

    def __call__(self) -> _Event:
        return self._event
