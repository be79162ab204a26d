"""What the agents make of a record, and what they say that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from agents import summarize
from agents.items import uncovered
from agents.write import read_embedding, read_update
from tests.web_parts import parts
from tickertape import metrics
from tickertape.decode import Limits
from tickertape.documents import DocumentKey
from tickertape.kafka.recall import Recall
from tickertape.pipeline import Removal, Result, Verdict
from tickertape.record import Record
from tickertape.settings import Settings
from tickertape.versions import Stamp, Version


@pytest.mark.parametrize("named", [{"table_name": "users"}, {"metadata": {"table_name": "users"}}])
def test_a_delete_is_of_the_table_that_an_insert_would_write_to(named: dict[str, Any]) -> None:
    value = orjson.dumps({"operation": "delete", "document_id": "1", **named})
    record = Record("vector-updates", 0, 0, b"1", value, (), 1)
    found = read_update(record, Limits())
    assert isinstance(found, Removal)
    assert found.collection == "users"


@pytest.mark.parametrize("url", [None, "http://localhost:8000/v1"])
def test_summaries_are_held_while_their_ledger_is_down(url: str | None) -> None:
    settings = Settings().model_copy(update={"llm_url": url})
    (spec,) = summarize.specs(settings, lambda: pytest.fail("not opened"))
    assert "store:sqlite" in spec.dependencies
    assert ("llm" in spec.dependencies) == (url is not None)


@pytest.mark.parametrize("topic", ["embeddings", "vector-updates"])
async def test_a_vector_without_a_model_refuses_none_of_another_size(
    tmp_path: Path, topic: str
) -> None:
    """One of three numbers fixed the size of all that came after it."""
    items = []
    for number, size in enumerate((3, 384, 3)):
        about = {"id": f"v{number}", "text": "Revenue rose.", "embedding": [0.5] * size}
        if topic == "vector-updates":
            about = {"operation": "insert", "document_id": f"v{number}", "vector": [0.5] * size}
        record = Record(topic, 0, number, b"v%d" % number, orjson.dumps(about), (), 1)
        reader = read_embedding if topic == "embeddings" else read_update
        items.append(reader(record, Limits()))
    async with parts(tmp_path) as services:
        results = await services.pipeline.run(items)
    assert [result for result in results if isinstance(result, Exception)] == []


async def test_a_text_of_a_topic_that_is_ours_no_more_is_not_asked_for(tmp_path: Path) -> None:
    """Its flow's internal topic does not exist, and its headers are anybody's."""
    settings = Settings(_env_file=None, data_dir=tmp_path)  # type: ignore[call-arg]
    shown = (DocumentKey("texts", "d"), Version((), Stamp(1, 2, 0, "topic-of-old")))
    before = metrics.texts_gone._value.get()
    result = Result(Verdict.WRITE, uncovered=[shown])
    assert await uncovered(Recall("no-broker:1"), settings, [result]) == {}
    assert metrics.texts_gone._value.get() == before + 1
