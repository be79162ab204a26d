"""What is said again and again is written seldom, and what was left out is counted."""

from __future__ import annotations

import logging

import pytest

from tickertape import log


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    return now


def record(name: str, message: object, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, message, args, None)


def test_a_librarys_line_is_written_once_a_minute_whatever_it_names(clock: list[float]) -> None:
    seldom = log.Seldom()
    lines = [record("aiokafka", "Unable connect to node with id %s", n) for n in range(100)]
    assert sum(map(seldom.filter, lines)) == 1
    assert seldom.filter(record("aiokafka", "Another one"))
    clock[0] += log.QUIET_SECONDS
    again = record("aiokafka", "Unable connect to node with id %s", 7)
    assert seldom.filter(again)
    assert again.left_out == 99


def test_ours_are_all_written_but_those_of_loops(clock: list[float]) -> None:
    seldom = log.Seldom()
    dead = [record("tickertape.flow", {"event": "dead_letter", "key": n}) for n in range(5)]
    assert all(map(seldom.filter, dead))
    loop = [record("tickertape.compacted", {"event": "compacted_reader"}) for _ in range(5)]
    assert sum(map(seldom.filter, loop)) == 1


def test_it_does_not_grow(clock: list[float]) -> None:
    seldom = log.Seldom()
    for n in range(3 * log.LINES_MAX):
        seldom.filter(record("faust", f"line {n}"))
    assert len(seldom._seen) <= log.LINES_MAX
