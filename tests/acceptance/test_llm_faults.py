"""Answers of the LLM that may be better next time: retry topics, then done, or a dead letter."""

from __future__ import annotations

from typing import Any

import pytest

from testkit.llm.double import LlmDouble
from testkit.system import System, documents, until
from tickertape import topics

PASSING = ("empty_500", "cut_body", "garbage_200", "reset")  # fewer than open a breaker
TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@pytest.fixture
async def llm(system: System):
    """One request at a time, so that a fault meets the document that it is meant for."""
    async with LlmDouble() as double:
        system.configure(LLM_URL=double.url, MODEL_NAME="double", TICKERTAPE_LLM_CONCURRENCY="1")
        yield double


async def test_faults_that_pass_go_through_the_retry_topics(system: System, llm: LlmDouble):
    worker = await system.worker()
    count = len(PASSING)
    held = [{"kind": "hold"}] * count
    llm.control(faults=[*({"kind": kind} for kind in PASSING), *held])
    batch = await system.declare(count)
    await system.send(
        system.settings.topic_financial_documents, documents(count, batch), headers=[TRACE]
    )

    async def retrying() -> bool:
        found = await worker.json(f"/ingest-status/{batch}")
        return bool(found["retrying"] == count)

    await until(retrying, "all of the batch to be retrying")
    assert (await worker.flow("summaries"))["retried"] == count
    llm.release()
    state = await system.finished(worker, batch)
    assert (state["status"], state["done"]) == ("completed", count)
    assert (state["retrying"], state["dead"], state["error_message"]) == (0, 0, None)

    requests = system.settings.topic_summary_requests
    copies = await system.read(topics.retry(requests, 0))
    originals = {record.key: record for record in await system.read(requests)}
    assert sorted(copy.key for copy in copies) == sorted(originals)
    for copy in copies:
        headers = text(copy)
        assert copy.value == originals[copy.key].value
        assert headers["traceparent"] == TRACE[1].decode()
        assert headers["retry_topic-attempts"] == "1"
        assert headers["retry_topic-original-timestamp"] == str(originals[copy.key].timestamp)
        waits = int(headers["retry_topic-backoff-timestamp"]) - copy.timestamp
        assert waits <= 1000 * system.settings.retry_delays_seconds[0] * 1.1
        assert headers["kafka_dlt-exception-fqcn"].startswith("tickertape.errors.")
        assert headers["kafka_dlt-exception-message"].startswith("llm: ")
    assert not await system.read(topics.retry(requests, 1))
    summaries = await system.values(system.settings.topic_llm_results)
    assert sorted(summary["id"] for summary in summaries) == [f"doc-{n}" for n in range(count)]


async def test_a_second_failure_waits_on_the_second_level_and_a_third_is_a_dead_letter(
    system: System, llm: LlmDouble
):
    worker = await system.worker()
    topic = system.settings.topic_financial_documents
    requests = system.settings.topic_summary_requests
    llm.control(faults=[{"kind": "empty_500"}, {"kind": "text_500"}])
    batch = await system.declare(1)
    await system.send(topic, documents(1, batch, "twice"))
    assert (await system.finished(worker, batch))["status"] == "completed"
    (second,) = await system.read(topics.retry(requests, 1))
    assert text(second)["retry_topic-attempts"] == "2"

    llm.control(faults=[{"kind": "empty_500"}] * 3)
    batch = await system.declare(1)
    await system.send(topic, documents(1, batch, "always"))
    state = await system.finished(worker, batch)
    assert (state["status"], state["done"], state["dead"]) == ("failed", 0, 1)
    assert state["error_message"] == "1 of 1 document is a dead letter"

    (letter,) = await system.dead(requests)
    headers = text(letter)
    assert letter.key == b"always-0"
    assert headers["tickertape-error-class"] == "transient"
    assert headers["tickertape-batch"] == batch
    assert headers["kafka_dlt-exception-message"] == "llm: HTTP 500"
    assert headers["kafka_dlt-exception-stacktrace"].rstrip().endswith("llm: HTTP 500")
    assert headers["retry_topic-attempts"] == "2"
    assert headers["kafka_dlt-original-topic"] == topic
    assert not await system.dead(topic), "the document itself is stored"
    async with system.store() as store:
        assert await store.document("always-0")


def text(record: Any) -> dict[str, str]:
    return {key: value.decode() for key, value in record.headers}
