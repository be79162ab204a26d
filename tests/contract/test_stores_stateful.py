"""Random histories against a store that fits on a page (`tests.memory_store`)."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.contract.store_kit import (
    FACTORIES,
    TOPIC,
    Adapter,
    delete,
    dense,
    key,
    keyword,
    part,
    put,
    touch,
    vector_of,
    version,
)
from tests.memory_store import Memory
from tickertape.documents import DocumentKey, Operation
from tickertape.stores.base import Store
from tickertape.versions import Version

MODELS = ("m1@fp32", "m2@int8")
WORDS = ("alpha", "beta", "gamma", "delta")

names = st.sampled_from(("a", "b", "c"))
collections = st.sampled_from(("x", "y"))


def versions(first: int) -> st.SearchStrategy[Version]:
    """One record is one event: wholes, parts and deletes stand at offsets of their own, and (see
    `placed`) what says something else stands elsewhere."""
    return st.builds(
        lambda ms, offset, number: replace(version(ms, offset), numbers=number),
        st.integers(0, 4),
        st.integers(first, first + 2),
        st.sampled_from([(), (), (), (1,), (2,)]),
    )


def placed(at: Version, partition: int) -> Version:
    return replace(at, stamp=replace(at.stamp, partition=partition))


TOPICS = (TOPIC, "vector-updates")

texts = st.lists(st.sampled_from(WORDS), max_size=4)
puts = st.builds(
    lambda id, words, at, collection, model, topic, tag: put(
        id,
        *words,
        at=placed(at, 3 + TOPICS.index(topic)),
        collection=collection,
        model=model,
        topic=topic,
        metadata={"tag": tag},
    ),
    names,
    texts,
    versions(0),
    collections,
    st.sampled_from(MODELS),
    st.sampled_from(TOPICS),
    st.integers(0, 2),
)
parts = st.builds(
    lambda id, number, of, at, model: part(
        *(id, number % of, of, "alpha"),
        placed(at, 10 * of + 2 * (number % of) + MODELS.index(model)),
        model,
        collection="x",
    ),
    names,
    st.integers(0, 2),
    st.integers(1, 3),
    versions(10),
    st.sampled_from(MODELS),
)
touches = st.builds(touch, names, versions(0), collections, chunks=st.integers(0, 2))
deletes = st.builds(delete, names, versions(20), st.sampled_from(["x", None]))
calls = st.lists(st.one_of(puts, puts, parts, touches, deletes), max_size=6)


class Histories(RuleBasedStateMachine):
    """Calls, restarts and a second client; after each step store and model say the same."""

    name = ""

    def __init__(self) -> None:
        super().__init__()
        self.model = Memory()
        self.loop = asyncio.new_event_loop()
        self.stack = ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.adapter: Adapter = self.stack.enter_context(FACTORIES[self.name](Path(folder)))
        self.stores: list[Store] = [self.adapter.store(), self.adapter.store()]
        for store in self.stores:
            self.do(store.start())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        for store in self.stores:
            self.do(store.stop())
        self.stack.close()
        self.loop.close()

    @rule(operations=calls, client=st.integers(0, 1))
    def apply(self, operations: list[Operation], client: int) -> None:
        results = self.do(self.stores[client].apply(operations))
        expected = [self.model.apply_one(operation) for operation in operations]
        assert list(map(told, results)) == list(map(told, expected))

    @rule(client=st.integers(0, 1))
    def restart(self, client: int) -> None:
        self.do(self.stores[client].stop())
        self.stores[client] = self.adapter.store()
        self.do(self.stores[client].start())

    @rule()
    def expire_nothing_recent(self) -> None:
        assert self.do(self.stores[0].expire(0.0)) == 0

    @rule()
    def expire_all(self) -> None:
        assert self.do(self.stores[0].expire(2.0**40)) == self.model.forget()

    @rule(model=st.sampled_from(MODELS), tag=st.integers(0, 2), client=st.integers(0, 1))
    def filtered_dense(self, model: str, tag: int, client: int) -> None:
        hits = self.do(
            dense(self.stores[client], vector_of("alpha"), 99, model=model, filters={"tag": tag})
        )
        found = sorted((hit.key, hit.ordinal, hit.text) for hit in hits)
        assert found == [
            (k, ordinal, text)
            for k, ordinal, text, made in chunks(self.model)
            if made == model and self.tag(k) == tag
        ]

    def tag(self, key: DocumentKey) -> Any:
        put = self.model.entries[key].put
        return put.document.metadata.get("tag") if put is not None else None

    @invariant()
    def heads_agree(self) -> None:
        every = [key(id, collection) for id in "abc" for collection in "xy"]
        heads = self.do(self.stores[0].heads(every))
        assert heads.keys() == {k for k in every if self.model.head(k) is not None}
        for k, head in heads.items():
            wanted = self.model.head(k)
            assert wanted is not None
            assert replace(head, updated_at=0.0) == wanted

    @invariant()
    def search_agrees(self) -> None:
        for store in self.stores:
            for model in MODELS:
                hits = self.do(dense(store, vector_of("alpha"), 99, model=model))
                found = sorted((hit.key, hit.ordinal, hit.text) for hit in hits)
                assert found == [c[:3] for c in chunks(self.model) if c[3] == model]
            hits = self.do(keyword(store, "alpha", 99))
            found = sorted((hit.key, hit.ordinal, hit.text) for hit in hits)
            assert found == [c[:3] for c in chunks(self.model) if c[2] == "alpha"]

    @invariant()
    def counts_agree(self) -> None:
        assert self.do(self.stores[1].count()) == self.do(self.model.count())

    @invariant()
    def documents_agree(self) -> None:
        for id in "abc":
            stored = {d.head.key: d for d in self.do(self.stores[1].document(id))}
            wanted = {d.head.key: d for d in self.do(self.model.document(id))}
            assert stored.keys() == wanted.keys()
            for k, found in stored.items():
                texts = [[(c.ordinal, c.text) for c in d.chunks] for d in (found, wanted[k])]
                assert texts[0] == texts[1]
                assert found.metadata == wanted[k].metadata
            missing = self.do(self.stores[1].missing(id))
            assert sorted(missing) == sorted(self.do(self.model.missing(id)))


def told(result: object) -> object:
    """An error by its type: its message is the store's own."""
    return type(result) if isinstance(result, Exception) else result


def chunks(model: Memory) -> list[tuple[DocumentKey, int, str, str]]:
    """All that is stored: key, ordinal, text, model."""
    return sorted(
        (key, chunk.ordinal, chunk.text, put.model)
        for key, entry in model.entries.items()
        for _, put in entry.texts.values()
        for chunk in put.chunks
    )


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_histories(name: str) -> None:
    machine = type("StoreHistories", (Histories,), {"name": name})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
