"""Vectors made elsewhere: which are compared with ours, and what their makers are told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.write import read_embedding, read_update, write
from tests.web_parts import parts
from tickertape.decode import Limits
from tickertape.delivery.outcome import Done, Failed, Work
from tickertape.errors import InvalidRecord
from tickertape.record import Record
from tickertape.spaces import note, space_of, unnamed


@dataclass(frozen=True)
class Ours:
    name: str = "sentence-transformers/all-MiniLM-L6-v2"
    identity: str = "sentence-transformers/all-MiniLM-L6-v2@int8"
    dimension: int = 384


@pytest.mark.parametrize(
    "said",
    [
        "sentence-transformers/all-MiniLM-L6-v2",
        "all-MiniLM-L6-v2",
        "all-minilm-l6-v2@fp32",
        "sentence-transformers/all-MiniLM-L6-v2@int8",
    ],
)
def test_our_models_name_in_any_precision_is_our_space(said: str) -> None:
    assert space_of("embedding", said, 384, Ours()) == Ours.identity
    with pytest.raises(InvalidRecord, match=r"^embedding: expected 384 numbers, .*model_name.*768"):
        space_of("embedding", said, 768, Ours())


@pytest.mark.parametrize("said", ["text-embedding-3-small", "other/all-MiniLM-L6-v2", "external-3"])
def test_another_model_is_another_space(said: str) -> None:
    assert space_of("vector", said, 384, Ours()) == said


def test_unnamed_vectors_say_how_to_be_named() -> None:
    assert unnamed(3) != unnamed(384)
    assert "model_name" in str(note(unnamed(384), Ours.name))
    assert note(Ours.identity, Ours.name) is None
    assert note(None, Ours.name) is None


def embedding(number: int, model: str | None, size: int, topic: str) -> Record:
    vector = [1.0] + [0.0] * (size - 1)
    about: dict[str, Any]
    if topic == "embeddings":
        about = {"id": f"v{number}", "text": "Revenue rose.", "embedding": vector}
        about |= {"model_name": model} if model else {}
    else:
        about = {"operation": "insert", "document_id": f"v{number}", "vector": vector}
        about["metadata"] = {"text": "Revenue rose.", **({"model_name": model} if model else {})}
    return Record(topic, 0, number, b"v%d" % number, orjson.dumps(about), (), 1)


@pytest.mark.parametrize("topic", ["embeddings", "vector-updates"])
async def test_vectors_are_stored_in_their_space_and_a_wrong_one_costs_itself(
    tmp_path: Path, topic: str
) -> None:
    read = read_embedding if topic == "embeddings" else read_update
    async with parts(tmp_path) as services:
        ours = services.runner.embedder
        size = ours.dimension
        sent = [(ours.name, size), (ours.name, size + 1), (None, 3), ("other", 3), ("other", 4)]
        works = []
        for number, (model, length) in enumerate(sent):
            record = embedding(number, model, length, topic)
            works.append(Work(record, read(record, Limits())))
        field = "embedding" if topic == "embeddings" else "vector"
        outcomes = await write(works, services.settings, services, field)
        assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done, Done, Failed]
        wrong = [str(outcome.error) for outcome in outcomes if isinstance(outcome, Failed)]
        assert wrong[0].startswith(f"{field}: expected {size} numbers")
        assert all("model_name" in reason for reason in wrong)
        models = [
            stored.model
            for number in range(4)
            for stored in await services.stores[0].document(f"v{number}")
        ]
        assert models == [ours.identity, unnamed(3), "other"]
