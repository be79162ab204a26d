"""Stores beside the first: what they are told, what they take over, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import embed, follow, summarize, write
from agents.items import changed
from tests.contract.store_kit import delete, key, part, put, version
from tests.memory_store import Memory
from tickertape import followers, kafka_admin, topics
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.offsets import PartitionOffsets
from tickertape.delivery.outcome import Done, Failed, Work
from tickertape.delivery.spec import FlowLimits
from tickertape.dlq.entries import entries
from tickertape.documents import DocumentKey
from tickertape.errors import InvalidRecord, OutageError, PermanentError, Timeout, TransientError
from tickertape.followers import Changed, Fill
from tickertape.pipeline import Removal
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings
from tickertape.versions import Origin

SETTINGS = Settings(_env_file=None, stores="sqlite,pgvector", data_dir=Path("/nowhere"))  # type: ignore[call-arg, arg-type]
TOPIC = "tickertape-store-pgvector"

anything = st.text(st.characters(exclude_categories=()))


def record(out: Outgoing, offset: int = 0) -> Record:
    return Record(out.topic, 0, offset, out.key, out.value, (), 1, trusted=True)


def works(*told: Changed | Fill) -> list[Work[Changed | Fill]]:
    made = [
        followers.fill(TOPIC, each) if isinstance(each, Fill) else followers.tell(TOPIC, each)
        for each in told
    ]
    records = [record(out, offset) for offset, out in enumerate(made)]
    return [Work(each, followers.read(each)) for each in records]


@given(anything, st.none() | anything, anything)
def test_what_is_told_is_read_whatever_its_names(id: str, where: str | None, tenant: str) -> None:
    said = Changed(id, where, tenant)
    assert followers.read(record(followers.tell(TOPIC, said))) == said


@given(anything, st.integers(0, 2**40), st.booleans(), st.sampled_from(["", "sqlite"]))
def test_a_step_is_read_wherever_it_goes_on(after: str, told: int, left: bool, first: str) -> None:
    step = Fill(after, told, left, first)
    assert followers.read(record(followers.fill(TOPIC, step))) == step


def test_a_step_that_was_written_before_it_named_the_first_is_read() -> None:
    value = b'{"after": "x", "told": 3, "left": true}'
    assert followers.read(Record(TOPIC, 0, 0, followers.FILL, value, (), 1)) == Fill("x", 3, True)


@given(st.lists(st.tuples(anything, st.none() | anything, anything), min_size=2, unique=True))
def test_compaction_keeps_one_record_of_each_document(whose: list[tuple[str, Any, str]]) -> None:
    keys = [followers.tell(TOPIC, Changed(*each)).key for each in whose]
    assert len({*keys, followers.FILL}) == len(whose) + 1


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b'{"id": 1}', b"\xff"])
def test_what_is_none_of_ours_is_said(value: bytes | None) -> None:
    with pytest.raises(PermanentError):
        followers.read(Record(TOPIC, 0, 0, b"x", value, (), 1))
    with pytest.raises(InvalidRecord):
        followers.read(Record(TOPIC, 0, 0, b"x", b'{"after": "", "told": 0, "left": false}', (), 1))


def test_each_further_store_has_a_topic_with_retries_and_dead_letters_of_its_own() -> None:
    made = {topic.name: topic for topic in kafka_admin.wanted(SETTINGS)}
    assert made[TOPIC].config["cleanup.policy"] == "compact"
    assert "retention.ms" not in made[TOPIC].config
    assert {topics.dlq(TOPIC), topics.parking(TOPIC), topics.retry(TOPIC, 0)} <= made.keys()
    assert entries(SETTINGS)[TOPIC].topic == TOPIC
    alone = Settings(_env_file=None, stores="sqlite", data_dir=Path("/nowhere"))  # type: ignore[call-arg, arg-type]
    assert not [t for t in kafka_admin.wanted(alone) if "-store-" in t.name]
    assert changed(alone, Removal("a", version(1), Origin("t", 0, 0))) == []


def test_no_flow_but_its_own_waits_for_a_further_store() -> None:
    every = [
        spec
        for module in (embed, write, summarize)
        for spec in module.specs(SETTINGS, lambda: pytest.fail("not opened"))  # type: ignore[attr-defined]
    ]
    assert every
    for spec in every:
        assert "store:sqlite" in spec.dependencies
        assert "store:pgvector" not in spec.dependencies
    (own,) = follow.specs(SETTINGS, lambda: pytest.fail("not opened"))
    assert set(own.dependencies) == {"store:sqlite", "store:pgvector"}
    assert set(own.routes) == {TOPIC, *(topics.retry(TOPIC, n) for n in range(4))}


async def test_what_changed_is_copied_as_it_is_now() -> None:
    first, store = Memory("first"), Memory("second")
    await first.apply([put("a", "old"), put("a", "new", at=version(2)), put("b", "b")])
    found = await follow.follow(
        works(Changed("a", "news"), Changed("b", "news"), Changed("a", "news")), TOPIC, first, store
    )
    assert found == [Done(), Done(), Done()]
    assert (store.text("a", "news"), store.text("b", "news")) == ("new", "b")


async def test_a_delete_reaches_every_collection_and_what_was_never_there() -> None:
    first, store = Memory("first"), Memory("second")
    await first.apply([put("a", "x"), put("a", "y", collection="notes")])
    every = works(Changed("a", "news"), Changed("a", "notes"))
    await follow.follow(every, TOPIC, first, store)
    assert store.text("a", "notes") == "y"
    await first.apply([delete("a", version(5), None), delete("never", version(5), None)])
    await follow.follow(works(Changed("a", None), Changed("never", None)), TOPIC, first, store)
    assert (store.text("a", "news"), store.text("a", "notes")) == (None, None)
    await store.apply([put("never", "late", at=version(4))])
    assert store.text("never", "news") is None


async def test_a_document_that_the_store_will_never_take_is_a_dead_letter_of_its_own() -> None:
    first, store = Memory("first"), Memory("second")
    refusal = PermanentError("metadata too deep")
    store.refused["bad"] = refusal
    await first.apply([put("bad", "x"), put("good", "x")])
    found = await follow.follow(
        works(Changed("bad", "news"), Changed("good", "news")), TOPIC, first, store
    )
    assert found == [Failed(refusal), Done()]
    assert store.text("good", "news") == "x"


async def test_an_outage_is_raised_for_the_whole_window() -> None:
    first, store = Memory("first"), Memory("second")
    store.broken = [OutageError("down", dependency="store:second")]
    await first.apply([put("a", "x")])
    with pytest.raises(OutageError):
        await follow.follow(works(Changed("a", "news")), TOPIC, first, store)


async def test_a_walk_goes_on_while_copies_fail() -> None:
    first, store = Memory("first"), Memory("second")
    late = Timeout("no answer in 30 s", dependency="store:second")
    store.broken = [late]
    await first.apply([put("a", "x"), put("b", "x")])
    told = works(Changed("a", "news"), Fill(), Changed("b", "news"))
    failed, step, also = await follow.follow(told, TOPIC, first, store)
    assert (failed, also) == (Failed(late), Failed(late))
    assert isinstance(step, Done)
    assert len(step.outputs) == 2


@pytest.mark.parametrize(
    ("error", "dependency"),
    [
        (Timeout("no answer", dependency="store:first"), "store:first"),
        (TransientError("odd"), "store:second"),
        (OSError("reset"), "store:second"),
    ],
)
async def test_a_step_of_a_walk_spends_no_attempt_on_what_may_pass(
    error: Exception, dependency: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a dead letter it would end the walk, and nothing would begin it again."""
    first, store = Memory("first"), Memory("second")
    await first.apply([put("a", "x")])

    async def fail(_keys: object) -> None:
        raise error

    monkeypatch.setattr(store, "heads", fail)
    (outcome,) = await follow.follow(works(Fill()), TOPIC, first, store)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, OutageError)
    assert outcome.error.dependency == dependency


async def walk(first: Memory, store: Memory, monkeypatch: pytest.MonkeyPatch) -> list[Outgoing]:
    """Take every step of a fill, and what it tells, as the flow does; return all that was told."""
    monkeypatch.setattr(follow, "PAGE", 3)
    todo, told = [followers.fill(TOPIC, Fill())], []
    while todo:
        out = todo.pop(0)
        told.append(out)
        each = record(out)
        (outcome,) = await follow.follow([Work(each, followers.read(each))], TOPIC, first, store)
        assert isinstance(outcome, Done)
        todo += outcome.outputs
    return told


async def test_a_new_store_is_filled_page_by_page_with_what_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, store = Memory("first"), Memory("second")
    puts = [put(f"id {n}", f"text {n}") for n in range(10)]
    await first.apply([*puts, part("parts", 1, 3, "x", version(1)), delete("id 3", version(2))])
    await store.apply(puts[:4])  # some of it is there, one of these deleted since
    told = await walk(first, store, monkeypatch)
    assert {k: store.text(k.id, k.collection) for k in first.entries} == {
        k: first.text(k.id, k.collection) for k in first.entries
    }
    steps = [out for out in told if out.key == followers.FILL]
    assert len(steps) == 4  # of 11 heads
    assert len(told) - len(steps) == 8  # what differed
    assert [out for out in await walk(first, store, monkeypatch) if out.key != followers.FILL] == []


async def until(check: Callable[[], object]) -> None:
    while not check():  # noqa: ASYNC110 - the flow has no event for each of its states
        await asyncio.sleep(0.01)


LIMITS = FlowLimits(1000, 2**20, (0.1,), 0.0, "group", "progress")


async def test_a_slow_store_keeps_no_more_than_its_flow_may_hold() -> None:
    """While it is away, what it is told waits in Kafka: the flow asks for its topic to be held."""
    first, store = Memory("first"), Memory("second")
    await first.apply([put(f"id {n}", "x") for n in range(50)])
    (spec,) = follow.specs(SETTINGS, lambda: pytest.fail("not opened"))
    store.broken = [OutageError("down", dependency="store:pgvector")]

    async def handle(told: Any) -> Any:
        return await follow.follow(told, TOPIC, first, store)

    async def publish(records: Any) -> list[None]:
        return [None] * len(records)

    breakers = Breakers()
    flow = Flow(replace(spec, handle=handle), LIMITS, publish, breakers)
    offsets = PartitionOffsets(TOPIC, 0)
    offsets.begin(0, None, 100)
    records = [record(followers.tell(TOPIC, Changed(f"id {n}", "news")), n) for n in range(50)]
    flow.put(records, offsets)
    await until(breakers.opened)
    assert flow.wants_hold
    assert "down" in flow.reason
    assert [breaker.name for breaker in breakers.opened()] == ["store:pgvector"]
    await until(lambda: not flow.records_in_flight)
    assert len(store.entries) == 50
    assert not flow.wants_hold


async def test_whatever_order_and_redelivery_the_store_ends_as_the_first() -> None:
    """Told late, twice and by two workers at once, between writes."""
    first, store = Memory("first"), Memory("second")
    every = [DocumentKey("news", f"id {n}") for n in range(5)]
    for turn in range(1, 8):
        texts = [put(each.id, f"{each.id} {turn}", at=version(turn)) for each in every[turn % 3 :]]
        await first.apply([*texts, delete(f"id {turn % 5}", version(turn, 1))])
        told = works(*(Changed.of(each) for each in every[:: 1 + turn % 2]))
        await asyncio.gather(
            follow.follow(told, TOPIC, first, store),
            follow.follow(told[::-1], TOPIC, first, store),
        )
    await follow.follow(works(*map(Changed.of, every)), TOPIC, first, store)
    for each in every:
        assert store.text(each.id, "news") == first.text(each.id, "news")
    assert key("id 0") in store.entries
