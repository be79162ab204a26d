"""Letters as they are shown: what they are, and no secret in them."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson
import pytest

from tickertape.cli import dlq_lines
from tickertape.dlq import showing
from tickertape.dlq.letter import Letter, Place
from tickertape.dlq.marks import LetterState
from tickertape.headers import Headers
from tickertape.record import text_headers

SECRET = "hunter2"


def letter(value: bytes | None, key: bytes | None = b"d", headers: Headers = ()) -> Letter:
    size = len(key or b"") + len(value or b"")
    return Letter(Place("text-messages-dlq", 1, 2), 3000, key, value, headers, size, "b")


def both(found: Letter, masked: bool = True) -> list[str]:
    """Everything that any command or page shows of it."""
    full = showing.full(found, LetterState.OPEN)
    return [
        orjson.dumps(full).decode(),
        orjson.dumps(showing.exported(found, LetterState.OPEN, masked)).decode(),
        dlq_lines.page(full),
        dlq_lines.line(showing.summary(found, LetterState.OPEN)),
    ]


@pytest.mark.parametrize(
    ("value", "encoding", "shown"),
    [
        (None, "null", None),
        (b'{"a": 1}', "json", {"a": 1}),
        (b'{"a": NaN, "n": 123456789012345678901234}', "json", None),
        (b"[1, 2]", "text", "[1, 2]"),
        (b"", "text", ""),
        ("€".encode(), "text", "€"),
        (b"a\xff\x00b", "binary", "a\\xff\x00b"),
    ],
)
def test_a_payload_is_shown_as_what_it_is(value: bytes | None, encoding: str, shown: Any) -> None:
    found = showing.payload(value)
    assert found["encoding"] == encoding
    if shown is not None:
        assert found["value"] == shown
    assert (found["hex"] is not None) is (encoding == "binary")
    json.loads(orjson.dumps(found))


def test_hex_is_the_very_bytes_and_bounded() -> None:
    assert showing.payload(b"\xff\x00A")["hex"] == "ff 00 41"
    long = showing.payload(b"\xff" * 100_000)["hex"]
    assert long.endswith(" ...")
    assert len(long) < 13_000


@pytest.mark.parametrize(
    ("value", "key", "headers"),
    [
        (b'{"password": "hunter2"}', b"d", {}),
        (b'{"deep": {"api_key": "hunter2"}, "text": 5}', b"d", {}),
        (b'{"url": "postgres://u:hunter2@db/x"}', b"d", {}),
        (b'{"password": "hunter2", "text": ', b"d", {}),
        (b"\xff password=hunter2", b"d", {}),
        (b"{}", b"postgres://u:hunter2@db/x", {}),
        (b"{}", b"d", {"authorization": "hunter2"}),
        (b"{}", b"d", {"kafka_dlt-exception-message": "postgres://u:hunter2@db/x failed"}),
        (b"{}", b"d", {"kafka_dlt-exception-stacktrace": "at postgres://u:hunter2@db/x"}),
    ],
)
def test_no_secret_is_shown(value: bytes, key: bytes, headers: dict[str, str]) -> None:
    found = letter(value, key, tuple(text_headers(headers)))
    hexed = SECRET.encode().hex(" ")
    for shown in both(found):
        assert SECRET not in shown
        assert hexed not in shown
        assert base64.b64encode(value).decode() not in shown


def test_unmasked_is_all_of_it() -> None:
    value = b'{"password": "hunter2"}'
    headers = tuple(text_headers({"authorization": SECRET}))
    found = showing.exported(letter(value, headers=headers), LetterState.OPEN, masked=False)
    assert found["payload"] == {"encoding": "text", "value": value.decode()}
    assert found["headers"] == [["authorization", SECRET]]


@pytest.mark.parametrize("value", [b"\xff\x00", b'{"a":  1}', "€".encode(), b"", b"\0"])
def test_an_unmasked_export_gives_the_very_bytes_back(value: bytes) -> None:
    kept = showing.exported(letter(value), LetterState.OPEN, masked=False)["payload"]
    back = kept["value"]
    assert (base64.b64decode(back) if kept["encoding"] == "base64" else back.encode()) == value


def test_headers_that_come_twice_are_both_there() -> None:
    headers = (("h", b"1"), ("h", b"2"), ("n", None), ("x", b"\xff"))
    found = showing.full(letter(b"{}", headers=headers), LetterState.OPEN)
    assert found["headers"] == [["h", "1"], ["h", "2"], ["n", None], ["x", "\\xff"]]


def test_a_terminal_is_told_nothing_to_obey() -> None:
    escape = "\x1b]0;title\x07\x1b[31m"
    headers = tuple(
        text_headers({"kafka_dlt-exception-message": escape, f"x{escape}": f"y{escape}"})
    )
    found = letter(f'{{"text": "{escape}"'.encode(), escape.encode(), headers)
    full = showing.full(found, LetterState.OPEN)
    for shown in (dlq_lines.page(full), dlq_lines.line(full)):
        assert "\x1b" not in shown
        assert "\x07" not in shown


@pytest.mark.parametrize("stamp", ["9" * 18, "-5", "soon", "0"])
def test_a_producers_clock_may_say_anything(stamp: str) -> None:
    headers = tuple(text_headers({"kafka_dlt-original-timestamp": stamp}))
    for shown in both(letter(b"{}", headers=headers)):
        assert shown


def test_a_vector_is_short_and_times_are_times_for_people() -> None:
    vector = [0.5] * 384
    headers = text_headers({"kafka_dlt-original-timestamp": 1764105000000, "size": 1764105000000})
    full = showing.full(
        letter(orjson.dumps({"id": "d", "embedding": vector}), headers=headers), LetterState.OPEN
    )
    page = dlq_lines.page(full)
    assert '"embedding": "[384 numbers]"' in page
    assert "kafka_dlt-original-timestamp: 2025-11-25T21:10:00+00:00 (1764105000000)" in page
    assert "size: 1764105000000" in page
    assert full["payload"]["value"]["embedding"] == vector  # a program gets all of it
