"""The failure policy, the error table, and the breakers."""

from __future__ import annotations

import pytest

from tickertape.delivery.breaker import Breaker, Breakers
from tickertape.delivery.policy import Dead, Hold, Retry, decide
from tickertape.errors import (
    ErrorClass,
    InvalidRecord,
    OutageError,
    Rejected,
    Timeout,
    Undecodable,
    classify,
)

DELAYS = (1.0, 10.0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidRecord("id", "text", 3), ErrorClass.PERMANENT),
        (Undecodable("no"), ErrorClass.PERMANENT),
        (Rejected("422"), ErrorClass.PERMANENT),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), ErrorClass.PERMANENT),
        (Timeout("slow"), ErrorClass.TRANSIENT),
        (ConnectionResetError(), ErrorClass.TRANSIENT),
        (OutageError("down", dependency="llm"), ErrorClass.OUTAGE),
        (ZeroDivisionError(), ErrorClass.TRANSIENT),
    ],
)
def test_every_error_has_a_class(error, expected):
    assert classify(error) is expected


def test_permanent_is_dead_at_once():
    assert decide(ErrorClass.PERMANENT, 0, DELAYS) == Dead()


def test_transient_goes_through_the_levels_and_then_dies():
    assert decide(ErrorClass.TRANSIENT, 0, DELAYS) == Retry(0, 1.0)
    assert decide(ErrorClass.TRANSIENT, 1, DELAYS) == Retry(1, 10.0)
    assert decide(ErrorClass.TRANSIENT, 2, DELAYS) == Dead()


def test_an_outage_spends_no_attempt_however_many_there_were():
    assert decide(ErrorClass.OUTAGE, 2, DELAYS) == Hold()


def test_jitter_only_adds_and_is_bounded():
    for _ in range(100):
        decision = decide(ErrorClass.TRANSIENT, 1, DELAYS, jitter=0.5)
        assert isinstance(decision, Retry)
        assert 10.0 <= decision.delay_seconds <= 15.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_an_outage_opens_and_one_probe_closes():
    clock = Clock()
    breaker = Breaker("llm", clock)
    assert breaker.admit()
    breaker.open("503", retry_after=7)
    assert not breaker.admit()
    clock.now = 7
    assert breaker.admit()
    assert not breaker.admit(), "one probe at a time"
    breaker.succeeded()
    assert breaker.admit()
    assert breaker.admit()


def test_the_wait_doubles_while_probes_fail_and_is_bounded():
    clock = Clock()
    breaker = Breaker("llm", clock)
    breaker.open("down")
    waits = []
    for _ in range(8):
        waits.append(breaker.wait_seconds)
        clock.now += breaker.wait_seconds
        assert breaker.admit()
        breaker.open("still down")
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_forged_retry_after_is_bounded():
    breaker = Breaker("llm", Clock())
    breaker.open("busy", retry_after=1e9)
    assert breaker.wait_seconds == 300


def test_a_run_of_failures_opens_and_one_success_forgets_them():
    breaker = Breaker("store", Clock())
    for _ in range(4):
        breaker.failed("time-out")
    breaker.succeeded()
    for _ in range(4):
        breaker.failed("time-out")
    assert not breaker.is_open
    breaker.failed("time-out")
    assert breaker.is_open
    assert breaker.reason == "time-out"


def test_a_probe_that_ends_without_a_verdict_lets_another_go():
    clock = Clock()
    breaker = Breaker("store", clock)
    breaker.open("down")
    clock.now = 1
    assert breaker.admit()
    breaker.abandon()
    assert breaker.admit()


def test_windows_that_saw_the_same_outage_do_not_lengthen_it():
    breaker = Breaker("store", Clock())
    breaker.open("down")
    breaker.open("down")
    assert breaker.wait_seconds == 1
    assert [b.name for b in Breakers().opened(["a"])] == []


def test_a_reason_does_not_say_the_name_again() -> None:
    breaker = Breaker("llm")
    breaker.open("llm: HTTP 503: busy")
    assert breaker.reason == "HTTP 503: busy"
