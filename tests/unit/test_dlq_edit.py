"""Payloads edited for a replay."""

from __future__ import annotations

import json

import pytest

from tickertape.decode import parse
from tickertape.dlq import edit
from tickertape.errors import InvalidRecord, Undecodable


def test_fields_are_set_and_the_others_stay() -> None:
    change = edit.setting(['text="now = a text"', "n=3", 'm={"a": [1]}', "id=null"])
    found = json.loads(change(b'{"id": "d", "text": 5, "kept": "\xc3\xa9"}'))
    assert found == {"id": None, "text": "now = a text", "n": 3, "m": {"a": [1]}, "kept": "é"}


@pytest.mark.parametrize("text", ["text", "=1", "text=", "text=hello", "text='hello'", "text={"])
def test_what_is_no_assignment(text: str) -> None:
    with pytest.raises(InvalidRecord, match=r"^--set: expected"):
        edit.setting([text])


@pytest.mark.parametrize("value", [b"", b"\xff", b"[1]", b"not JSON"])
def test_fields_of_what_is_no_object_cannot_be_set(value: bytes) -> None:
    with pytest.raises(Undecodable):
        edit.setting(["a=1"])(value)


def test_a_delete_has_no_fields() -> None:
    with pytest.raises(InvalidRecord, match="got a delete"):
        edit.setting(["a=1"])(None)
    with pytest.raises(InvalidRecord, match="got a delete"):
        edit.editable(None)


def test_what_is_edited_takes_the_payloads_place() -> None:
    text = edit.editable(b'{"id":"d","text":"\xe2\x82\xac"}')
    assert text == '{\n  "id": "d",\n  "text": "€"\n}\n'
    assert json.loads(edit.replacing(text.replace("d", "e"))(b"whatever")) == {
        "ie": "e",
        "text": "€",
    }


@pytest.mark.parametrize("text", ["", "[1]", "{", "hello"])
def test_what_is_no_object_is_not_taken(text: str) -> None:
    with pytest.raises(InvalidRecord, match="a JSON object"):
        edit.replacing(text)


def test_bytes_that_are_no_text_can_be_edited_as_far_as_they_are() -> None:
    assert edit.editable(b"\xff{}") == "\ufffd{}"


@pytest.mark.parametrize(
    "value",
    [
        b'{"n": 123456789012345678901234567890}',
        b'{"n": NaN, "m": -Infinity}',
        b'{"text": "\\ud800 alone"}',
        '{"text": "€ 😀"}'.encode(),
    ],
)
def test_what_is_not_touched_reads_as_before(value: bytes) -> None:
    found = parse(edit.setting(["x=1"])(value))
    assert repr(found) == repr({**parse(value), "x": 1})


def test_a_letter_stays_in_its_batch() -> None:
    assert parse(edit.kept_in_batch(b'{"id": 1}', "b")) == {"id": 1, "batch_id": "b"}
    assert parse(edit.kept_in_batch(b'{"batch_id": null}', "b"))["batch_id"] == "b"
    assert edit.kept_in_batch(b'{"batch_id": "b" }', "b") == b'{"batch_id": "b" }'
    assert edit.kept_in_batch(b'{"batch_id": 7}', "7") == b'{"batch_id": 7}'
    assert edit.kept_in_batch(b"{}", None) == b"{}"
    with pytest.raises(InvalidRecord, match=r"batch_id: expected 'b', the batch that waits"):
        edit.kept_in_batch(b'{"batch_id": "other"}', "b")
