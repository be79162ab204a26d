"""What the embedding flows tell: vectors, a request for a summary, or a failure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import numpy as np
import orjson
import pytest

from agents import embed
from tests.web_parts import parts
from tickertape import flows
from tickertape import headers as h
from tickertape.delivery.outcome import Done, Failed, State, Work
from tickertape.documents import Document, StoredChunk
from tickertape.errors import OutageError, TickertapeError
from tickertape.flows import Flow
from tickertape.kafka.recall import Recall
from tickertape.pipeline import Item, Removal, Result, Verdict
from tickertape.record import Outgoing, Record
from tickertape.services import Services
from tickertape.settings import Settings

SETTINGS = Settings(_env_file=None, data_dir=Path("/nowhere"))  # type: ignore[call-arg]
VALUES: dict[str, dict[str, Any]] = {
    "text": {"id": "d1", "text": "Revenue rose.", "batch_id": "b1"},
    "documents": {"id": "d1", "text": "Revenue rose.", "batch_id": "b1", "title": "Q3"},
    "requests": {"document_id": "d1", "content": "Revenue rose.", "batch_id": "b1"},
}


class Answering:
    """A pipeline that answers with these results, and remembers what it was asked."""

    def __init__(self, *results: Result | Exception) -> None:
        self.results = list(results)
        self.items: list[Item] = []
        self.share: Any = None

    async def run(self, items: list[Item], share: Any = None) -> list[Result | Exception]:
        self.items, self.share = items, share
        return self.results


def specs() -> dict[str, Any]:
    return {spec.name: spec for spec in embed.specs(SETTINGS, lambda: pytest.fail("not opened"))}


def work(flow: Flow, value: dict[str, Any] | None, *headers: tuple[str, bytes]) -> Work[Item]:
    raw = None if value is None else orjson.dumps(value)
    record = Record(flow.topic(SETTINGS), 1, 7, b"d1", raw, headers, 1)
    return Work(record, specs()[flow.name].decode(record))


def chunks(count: int) -> list[StoredChunk]:
    vector = np.array([0.6, 0.8], np.float32)
    return [StoredChunk(uuid4(), n, f"Passage {n}.", 0, 10, vector) for n in range(count)]


async def told(
    flow: Flow, works: list[Work[Item]], *results: Result | Exception
) -> tuple[list[Done | Failed], Answering]:
    pipeline = Answering(*results)
    runner = SimpleNamespace(embedder=SimpleNamespace(name="model"))
    services = cast(
        Services, SimpleNamespace(pipeline=pipeline, runner=runner, recall=Recall("no-broker:1"))
    )
    outcomes = await embed.embed(works, SETTINGS, services, flow)
    return cast(Any, outcomes), pipeline


def test_each_flow_reads_its_topic_and_tells_its_stages() -> None:
    assert set(specs()) == set(VALUES)
    for flow in (flows.TEXT, flows.DOCUMENTS, flows.REQUESTS):
        spec = specs()[flow.name]
        assert flow.topic(SETTINGS) in spec.routes
        assert spec.stages_of("any") == flow.stages
        item = work(flow, VALUES[flow.name]).item
        assert (spec.id_of(item), spec.batch_of(item)) == ("d1", "b1")
        assert "store:sqlite" in spec.dependencies


@pytest.mark.parametrize(
    "flow", [flows.TEXT, flows.DOCUMENTS, flows.REQUESTS], ids=lambda f: f.name
)
@pytest.mark.parametrize("verdict", [Verdict.WRITE, Verdict.REDELIVERED])
async def test_one_record_a_passage_and_one_for_its_summary(flow: Flow, verdict: Verdict) -> None:
    asked = work(flow, VALUES[flow.name], (h.TRACEPARENT, b"00-abc"))
    (outcome,), _ = await told(flow, [asked], Result(verdict, chunks(3), "hash"))
    assert isinstance(outcome, Done)
    assert outcome.state is State.DONE
    vectors = [o for o in outcome.outputs if o.topic == SETTINGS.topic_embeddings]
    values = [orjson.loads(output.value or b"") for output in vectors]
    assert [value["chunk"] for value in values] == [0, 1, 2]
    assert {value["chunk_count"] for value in values} == {3}
    assert {value["id"] for value in values} == {"d1"}
    assert {value["model_name"] for value in values} == {"model"}
    assert all(np.allclose(value["embedding"], [0.6, 0.8]) for value in values)
    assert all((h.OWN, b"1") in output.headers for output in vectors)  # not to be stored again
    assert all((h.TRACEPARENT, b"00-abc") in output.headers for output in vectors)
    rest = [o for o in outcome.outputs if o not in vectors]
    expected = [SETTINGS.topic_summary_requests] if flow is flows.DOCUMENTS else []
    assert [output.topic for output in rest] == expected
    assert {output.key for output in outcome.outputs} == {b"d1"}


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.UNCHANGED, State.UNCHANGED),
        (Verdict.REPEAT, State.REPEAT),
        (Verdict.SUPERSEDED, State.SUPERSEDED),
    ],
)
async def test_what_did_not_change_sends_no_vectors(verdict: Verdict, state: State) -> None:
    asked = [work(flows.TEXT, VALUES["text"])]
    (outcome,), _ = await told(flows.TEXT, asked, Result(verdict))
    assert outcome == Done([], state)


async def test_a_failure_is_its_own_documents_alone() -> None:
    error: TickertapeError = OutageError("down", dependency="store:sqlite")
    asked = [work(flows.TEXT, VALUES["text"]) for _ in range(3)]
    good = Result(Verdict.WRITE, chunks(1), "hash")
    outcomes, _ = await told(flows.TEXT, asked, good, error, good)
    assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done]
    assert isinstance(outcomes[1], Failed)
    assert outcomes[1].error is error


async def test_a_null_value_deletes_its_key_and_tells_nobody() -> None:
    asked = work(flows.DOCUMENTS, None)
    assert isinstance(asked.item, Removal)
    assert asked.item.id == "d1"
    (outcome,), pipeline = await told(flows.DOCUMENTS, [asked], Result(Verdict.WRITE))
    assert isinstance(outcome, Done)
    assert outcome.outputs == []
    assert pipeline.items == [asked.item]


async def test_large_documents_have_a_share_of_their_own() -> None:
    large = VALUES["text"] | {"text": "Revenue rose. " * 10_000}
    results = [Result(Verdict.UNCHANGED)]
    _, small_share = await told(flows.TEXT, [work(flows.TEXT, VALUES["text"])], *results)
    _, large_share = await told(flows.TEXT, [work(flows.TEXT, large)], *results)
    assert isinstance(work(flows.TEXT, large).item, Document)
    assert small_share.share != large_share.share


async def test_a_newer_text_that_comes_by_itself_is_not_fetched_for_each_older_one(
    tmp_path: Path,
) -> None:
    """A topic that is read from its beginning: what each version says is superseded."""
    async with parts(tmp_path) as services:
        new = placed(0, 9, "New.")
        await services.pipeline.run([new.item])
        unreachable = cast(Services, services)  # its recall has no broker

        async def behind(old: Work[Item]) -> list[Outgoing]:
            done = [(old, Done(state=State.SUPERSEDED))]
            return await embed.overtaken(done, SETTINGS, unreachable)

        assert await behind(placed(0, 3, "Old.", again=True)) == []
        assert await behind(placed(1, 3, "Old.")) == [], "nobody can have told it"
        told = [
            replace(placed(0, 3, "Old."), tried=True),
            placed(1, 3, "Old.", again=True),
            placed(0, 12, "Old.", again=True),
        ]
        for old in told:
            with pytest.raises(OutageError, match="cannot be read"):
                await behind(old)


def placed(partition: int, offset: int, text: str, again: bool = False) -> Work[Item]:
    """A text of the document, from where it stands; the higher its offset, the newer it is."""
    value = orjson.dumps({"id": "d1", "text": text, "version": 1 if text == "Old." else 2})
    topic = SETTINGS.topic_text_messages
    record = Record(topic, partition, offset, b"d1", value, (), offset, again=again)
    return Work(record, specs()["text"].decode(record))
