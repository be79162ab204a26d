"""The failure policy, the error table, and the breakers."""

from __future__ import annotations

import ssl

import pytest

from tickertape import errors
from tickertape.delivery.breaker import Breaker, Breakers
from tickertape.delivery.policy import Dead, Hold, Retry, decide
from tickertape.errors import ErrorClass, TickertapeError, classify

DELAYS = (1.0, 10.0)


# Of each row of errors.FOREIGN, and of what has none
FOREIGN = {
    UnicodeError: (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), ErrorClass.PERMANENT),
    ssl.SSLCertVerificationError: (ssl.SSLCertVerificationError("expired"), ErrorClass.PERMANENT),
    TimeoutError: (TimeoutError(), ErrorClass.TRANSIENT),
    ConnectionError: (ConnectionResetError(), ErrorClass.TRANSIENT),
    OSError: (PermissionError("no"), ErrorClass.TRANSIENT),
    MemoryError: (MemoryError(), ErrorClass.TRANSIENT),
    Exception: (ZeroDivisionError(), ErrorClass.TRANSIENT),
}
# Of each class of ours: the branch of the tree that it is on
BRANCHES = {
    errors.StartError: ErrorClass.TRANSIENT,
    errors.PermanentError: ErrorClass.PERMANENT,
    errors.TransientError: ErrorClass.TRANSIENT,
    errors.OutageError: ErrorClass.OUTAGE,
}


def ours(error: type[TickertapeError] = TickertapeError) -> list[type[TickertapeError]]:
    return [error, *(each for child in error.__subclasses__() for each in ours(child))]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_every_foreign_error_has_a_class(kind):
    error, expected = FOREIGN[kind]
    assert isinstance(error, kind)
    assert classify(error) is expected


def test_no_row_of_the_table_is_left_out_or_hidden_by_one_above_it():
    kinds = [kind for kind, _ in errors.FOREIGN]
    assert {*kinds, Exception} == set(FOREIGN)
    for number, kind in enumerate(kinds):
        assert not issubclass(kind, tuple(kinds[:number])), f"{kind} is never reached"


@pytest.mark.parametrize("kind", ours()[1:], ids=lambda kind: kind.__name__)
def test_every_error_of_ours_has_the_class_of_its_branch(kind):
    found = {branch for base, branch in BRANCHES.items() if issubclass(kind, base)}
    (expected,) = found or {ErrorClass.TRANSIENT}  # right below the root
    assert classify(kind.__new__(kind)) is expected


def test_the_tree_that_is_drawn_is_the_tree():
    drawn = {line.strip(" |+-`").partition(" ")[0] for line in (errors.__doc__ or "").splitlines()}
    assert {kind.__name__ for kind in ours() if kind.__module__ == errors.__name__} <= drawn


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
