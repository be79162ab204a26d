"""The doors back in agree with the flows that stand behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents import embed, summarize, write
from tickertape import kafka_admin, topics
from tickertape.delivery.spec import Spec
from tickertape.dlq import entries
from tickertape.flows import FLOWS
from tickertape.record import Record
from tickertape.settings import Settings

SETTINGS = Settings(_env_file=None, data_dir=Path("/nowhere"))
ENTRIES = entries.entries(SETTINGS)


def specs() -> list[Spec[Any]]:
    def services() -> Any:
        raise AssertionError("nothing is handled here")

    modules = (embed, summarize, write)
    return [spec for module in modules for spec in module.specs(SETTINGS, services)]


def base(spec: Spec[Any]) -> str:
    (found,) = {route.base for route in spec.routes.values()}
    return found


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.name)
def test_a_door_is_an_internal_topic_of_its_flow(spec: Spec[Any]) -> None:
    entry = ENTRIES[base(spec)]
    route = spec.routes[entry.topic]
    assert route.internal, "its headers must be believed: origin, version, count of replays"
    assert not route.rekeys
    assert route.attempts == 0, "a replay has all its retries"


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.name)
def test_progress_speaks_of_the_same_parts(spec: Spec[Any]) -> None:
    entry = ENTRIES[base(spec)]
    assert entry.flow.stage == spec.stage
    assert entry.flow.stages == (spec.stages_of(entry.base) or (spec.stage,))


def test_every_topic_that_can_die_has_a_door_and_every_door_is_made() -> None:
    made = {topic.name for topic in kafka_admin.wanted(SETTINGS)}
    dying = {flow.topic(SETTINGS) for flow in FLOWS}
    assert set(ENTRIES) == dying
    assert {entry.topic for entry in ENTRIES.values()} <= made
    assert topics.replays(SETTINGS.app_id) in made


def test_users_topics_are_never_the_door_where_there_is_another() -> None:
    for flow in FLOWS:
        name = flow.topic(SETTINGS)
        if flow.rekeyed or (flow.retries and name != SETTINGS.topic_summary_requests):
            assert ENTRIES[name].topic != name


VECTOR = [0.0, 1.0]
RECORDS: list[tuple[str, bytes | None, dict[str, Any] | None]] = [
    ("text-messages", None, {"id": "d", "text": "t"}),
    ("text-messages", None, {"id": 7, "text": "t"}),
    ("text-messages", b"k", {"text": "t", "document_id": "not this"}),
    ("text-messages", None, {"text": "t"}),
    ("text-messages", b"\xff\x00", {"text": "t"}),
    ("text-messages", b"k", None),
    ("financial-documents", b"k", {"id": "d", "text": "t"}),
    ("embedding-requests", b"k", {"document_id": "d", "id": "not this", "content": "t"}),
    ("vector-updates", b"k", {"document_id": 7, "operation": "delete"}),
    ("vector-updates", b"k", {"document_id": "d", "operation": "insert", "vector": VECTOR}),
    ("embeddings", b"k", {"id": "d", "text": "t", "embedding": VECTOR}),
    ("embeddings", b"k", {"id": "d", "text": "t", "embedding": VECTOR, "chunk_count": 3}),
    (
        "embeddings",
        b"k",
        {"id": "d", "text": "t", "embedding": VECTOR, "chunk": 2, "chunk_count": 3},
    ),
]


@pytest.mark.parametrize(("topic", "key", "value"), RECORDS)
def test_the_key_is_the_one_the_flow_would_give(
    topic: str, key: bytes | None, value: dict[str, Any] | None
) -> None:
    raw = None if value is None else json.dumps(value).encode()
    record = Record(topic, 1, 2, key, raw, (), 3)
    (spec,) = [spec for spec in specs() if base(spec) == topic]
    expected = spec.id_of(spec.decode(record))
    assert expected is not None
    assert entries.key_of(ENTRIES[topic], record) == expected.encode()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (b"k", b"\xff not JSON", b"k"),
        (b"k", b'{"id": ["an array"]}', b"k"),
        (b"k", b'{"id": "' + b"x" * 2000 + b'"}', b"k"),
        (b"x" * 2000, b"not JSON", b"x" * 2000),
    ],
)
def test_what_no_flow_can_read_keeps_its_key(key: bytes, value: bytes, expected: bytes) -> None:
    record = Record("text-messages", 1, 2, key, value, (), 3)
    assert entries.key_of(ENTRIES["text-messages"], record) == expected


def test_what_has_neither_id_nor_key_gets_the_id_of_its_origin() -> None:
    entry = ENTRIES["text-messages"]
    one, same, other = (
        entries.key_of(entry, Record("text-messages", 1, offset, None, b"?", (), 3))
        for offset in (2, 2, 3)
    )
    assert one
    assert one == same != other


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("text-messages-dlq", "text-messages"),
        ("text-messages-parking", "text-messages"),
        ("text-messages", None),
        ("-dlq", None),
        ("a-dlq-dlq", "a-dlq"),
    ],
)
def test_the_base_of_a_topic(topic: str, expected: str | None) -> None:
    assert entries.base_of(topic) == expected
