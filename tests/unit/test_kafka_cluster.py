"""What is kept beside an offset, and which topics have partitions that nobody reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.kafka.cluster import TopicState, unread
from tickertape.kafka.metadata import Metadata

ID = "3b0fa1f6-4d5a-4c43-9f55-4a4a8a6ad2f0"


def test_metadata_comes_back() -> None:
    assert Metadata.decode(Metadata(ID).encode()) == Metadata(ID)
    assert Metadata().encode() == ""


@pytest.mark.parametrize("text", [None, "", "null", "[]", "5", '{"topic": 5}', "{", "plain"])
def test_what_another_program_wrote_says_nothing(text: str | None) -> None:
    assert Metadata.decode(text) == Metadata()


@given(st.text())
def test_no_text_raises(text: str) -> None:
    Metadata.decode(text)


def test_new_partitions_are_unread_until_the_group_has_them() -> None:
    states = {"a": TopicState(ID, 3), "b": TopicState(ID, 2), "nobody's": TopicState(ID, 4)}
    assert unread(states, {"a": {0, 1}, "b": {0, 1}, "gone": {0}}) == ["a"]
    assert unread(states, {"a": {0, 1, 2}, "b": {0, 1}}) == []
