"""Records on a terminal: what matters of each topic, no secret, nothing a terminal obeys."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickertape.cli.showing import Shown, as_json, pretty
from tickertape.settings import Settings
from tickertape.topics import names


def shown(value, key=b"k", headers=()):
    raw = value if isinstance(value, bytes | None) else orjson.dumps(value)
    return Shown("t", 1, 7, 1_700_000_000_000, key, raw, headers)


def test_a_summary_has_time_tokens_and_status():
    value = {
        "id": "d",
        "summary": "Revenue rose.\nCosts fell.",
        "model_name": "m",
        "status": "completed",
        "processing_time": 0.1234,
        "prompt_tokens": 900,
        "completion_tokens": 60,
        "unchanged": True,
    }
    head, *text = pretty(shown(value), "llm_results").splitlines()
    for part in ("d", "completed", "0.12 s", "900+60 tokens", "m", "unchanged"):
        assert part in head.split("  ")
    assert text == ["    Revenue rose.", "    Costs fell."]


def test_an_embedding_has_id_and_dimensions():
    value = {"id": "d", "original_text": "a b", "embedding": [0.5] * 384, "chunk": 1}
    line = pretty(shown({**value, "chunk_count": 2}), "embeddings")
    assert "384 dimensions" in line
    assert "chunk 2 of 2" in line
    assert "0.5" not in line


def test_a_batch_has_its_counts():
    value = {"batch_id": "b", "status": "failed", "processed_documents": 3, "total_documents": 4}
    line = pretty(shown({**value, "dead": 1, "error_message": "1 is dead"}), "batch_status")
    assert "b  failed  3/4  1 dead" in line
    assert line.endswith("\n    1 is dead")


def test_a_dead_letter_has_its_reason():
    headers = [
        ("kafka_dlt-exception-fqcn", b"tickertape.errors.InvalidRecord"),
        ("kafka_dlt-exception-message", b"text: expected a non-empty string"),
    ]
    line = pretty(shown(b"{", headers=headers), None)
    assert "k  InvalidRecord: text: expected a non-empty string" in line


@pytest.mark.parametrize("kind", [None, "data_ingestion", "text_messages"])
def test_secrets_are_masked(kind):
    value = {
        "connection_params": {"host": "h", "password": "hunter2"},
        "uri": "pg://u:hunter2@h/d",
        "text": "pg://u:hunter2@h/d",
    }
    headers = [("note", b"password=hunter2")]
    for raw in (orjson.dumps(value), orjson.dumps(value)[:-20], b"password=hunter2"):
        assert "hunter2" not in pretty(shown(raw), kind)
        assert "hunter2" not in as_json(shown(raw, headers=headers))


def test_a_terminal_is_given_nothing_to_obey():
    for value in (b"\x1b[2Jgone\x07", {"id": "\x1b]0;x\x07", "text": "\u202eabc\x9b"}):
        line = pretty(shown(value, key=b"\x1b[31m"), "text_messages")
        assert not set(line) & set("\x1b\x07\x9b\u202e")


def test_json_has_everything():
    found = json.loads(as_json(shown({"embedding": [0.5] * 20}, headers=[("h", b"v")])))
    assert found == {
        "topic": "t",
        "partition": 1,
        "offset": 7,
        "timestamp": 1_700_000_000_000,
        "key": "k",
        "headers": {"h": "v"},
        "value": {"embedding": [0.5] * 20},
    }
    assert json.loads(as_json(shown(None)))["value"] is None


FIELDS = st.sampled_from(
    ["id", "text", "summary", "chunk", "embedding", "status", "timestamp", "processing_time"]
)
ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([1])


@settings(deadline=None, max_examples=60)
@given(
    value=st.binary() | st.dictionaries(FIELDS, ANY | st.dictionaries(FIELDS, ANY, max_size=2)),
    kind=st.sampled_from([None, *names(Settings())]),
    key=st.none() | st.binary(),
)
def test_anything_can_be_shown(value, kind, key):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    record = Shown("t", 0, 0, -1, key, raw, [("h", b"\xff"), ("n", None)])
    assert pretty(record, kind)
    assert json.loads(as_json(record))["topic"] == "t"
