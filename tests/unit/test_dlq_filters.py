"""Which letters a filter means, and how times and ids are typed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tickertape.dlq.filters import Filter, when
from tickertape.dlq.letter import Letter, Place
from tickertape.errors import InvalidRecord
from tickertape.record import text_headers

HEADERS = {
    "kafka_dlt-exception-fqcn": "tickertape.errors.InvalidRecord",
    "tickertape-error-class": "permanent",
}
LETTER = Letter(
    Place("t-dlq", 1, 2), 5000, "clé".encode(), b"{}", tuple(text_headers(HEADERS)), 9, "b"
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, True),
        ({"error_class": "permanent"}, True),
        ({"error_class": "transient"}, False),
        ({"error": "InvalidRecord"}, True),
        ({"error": "invalidrecord"}, True),
        ({"error": "tickertape.errors.InvalidRecord"}, True),
        ({"error": "Invalid"}, False),
        ({"error": "Record"}, False),
        ({"key": "clé"}, True),
        ({"key": "cle"}, False),
        ({"key": ""}, False),
        ({"batch": "b"}, True),
        ({"batch": "bb"}, False),
        ({"since_ms": 5000}, True),
        ({"since_ms": 5001}, False),
        ({"until_ms": 5000}, False),
        ({"until_ms": 5001}, True),
        ({"key": "clé", "batch": "other"}, False),
    ],
)
def test_all_that_is_given_must_fit(wanted: dict[str, Any], expected: bool) -> None:
    assert Filter(**wanted).matches(LETTER) is expected


def test_a_letter_without_key_or_headers() -> None:
    letter = Letter(Place("t-dlq", 0, 0), 1, None, None, (), 0, None)
    assert Filter().matches(letter)
    for wanted in ({"key": ""}, {"error": "X"}, {"error_class": "permanent"}, {"batch": "b"}):
        assert not Filter(**wanted).matches(letter)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), (" 1.5H ", 5400), ("7d", 604_800), ("1w", 604_800)],
)
def test_a_time_ago(text: str, seconds: float) -> None:
    before, found, after = time.time(), when("since", text), time.time()
    assert before * 1000 - 1 <= found + seconds * 1000 <= after * 1000 + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T10:00:00Z", 1_769_853_600_000),
        ("2026-01-31 10:00", 1_769_853_600_000),
        ("2026-01-31T11:00:00+01:00", 1_769_853_600_000),
        ("1769853600", 1_769_853_600_000),
        ("1769853600123", 1_769_853_600_123),
    ],
)
def test_a_time_as_it_is(text: str, expected: int) -> None:
    assert when("since", text) == expected


@pytest.mark.parametrize("text", ["", "soon", "2 hours", "-2h", "2026-13-01", "h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidRecord, match=r"--since: expected a time ago"):
        when("--since", text)


def test_an_id_is_a_place() -> None:
    place = Place.parse(" my.topic-dlq/3/17 ")
    assert place == Place("my.topic-dlq", 3, 17)
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    "text", ["", "t", "t/1", "/1/2", "t/1/2/3", "t/-1/2", "t/1/x", "t/\u0661/2", "t/1/" + "9" * 30]
)
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(InvalidRecord, match="TOPIC/PARTITION/OFFSET"):
        Place.parse(text)
