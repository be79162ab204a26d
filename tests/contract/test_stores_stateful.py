"""Random histories against a model of the contract that fits on a page."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
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
    put,
    touch,
    vector_of,
)
from tickertape.documents import Applied, Delete, DocumentKey, Operation, Put, Version
from tickertape.stores.base import Counts, Store

MODELS = ("m1@fp32", "m2@int8")
WORDS = ("alpha", "beta", "gamma", "delta")

names = st.sampled_from(("a", "b", "c"))
collections = st.sampled_from(("x", "y"))
versions = st.builds(Version, st.integers(0, 4), st.integers(0, 2))
texts = st.lists(st.sampled_from(WORDS), max_size=4)
puts = st.builds(
    lambda id, words, at, collection, model, topic, tag: put(
        id, *words, at=at, collection=collection, model=model, topic=topic, metadata={"tag": tag}
    ),
    names,
    texts,
    versions,
    collections,
    st.sampled_from(MODELS),
    st.sampled_from((TOPIC, "vector-updates")),
    st.integers(0, 2),
)
touches = st.builds(touch, names, versions, collections)
deletes = st.builds(delete, names, versions, collections)
calls = st.lists(st.one_of(puts, puts, touches, deletes), max_size=6)


@dataclass
class Entry:
    """What the model knows of a document."""

    version: Version
    content: Put | Delete


class Model:
    """The contract, as a dictionary."""

    def __init__(self) -> None:
        self.entries: dict[DocumentKey, Entry] = {}

    def apply(self, operation: Operation) -> Applied:
        target = operation.document if isinstance(operation, Put) else operation
        entry = self.entries.get(target.key)
        if entry is not None and target.version < entry.version:
            return Applied.SUPERSEDED
        if isinstance(operation, Put | Delete):
            self.entries[target.key] = Entry(target.version, operation)
        elif entry is not None:
            entry.version = target.version
        return Applied.APPLIED

    def live(self) -> dict[DocumentKey, Put]:
        contents = ((k, e.content) for k, e in self.entries.items())
        return {k: content for k, content in contents if isinstance(content, Put)}

    def chunks(self, model: str | None = None) -> list[tuple[DocumentKey, int, str]]:
        return sorted(
            (k, chunk.ordinal, chunk.text)
            for k, content in self.live().items()
            for chunk in content.chunks
            if model in (None, content.model)
        )


class Histories(RuleBasedStateMachine):
    """Calls, restarts and a second client; after each step store and model say the same."""

    name = ""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
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
        assert results == [self.model.apply(operation) for operation in operations]

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
        gone = [k for k, e in self.model.entries.items() if isinstance(e.content, Delete)]
        assert self.do(self.stores[0].expire(2.0**40)) == len(gone)
        for k in gone:
            del self.model.entries[k]

    @rule(model=st.sampled_from(MODELS), tag=st.integers(0, 2), client=st.integers(0, 1))
    def filtered_dense(self, model: str, tag: int, client: int) -> None:
        hits = self.do(
            dense(self.stores[client], vector_of("alpha"), 99, model=model, filters={"tag": tag})
        )
        found = sorted((hit.key, hit.ordinal, hit.text) for hit in hits)
        live = self.model.live()
        assert found == [
            c for c in self.model.chunks(model) if live[c[0]].document.metadata["tag"] == tag
        ]

    @invariant()
    def heads_agree(self) -> None:
        every = [key(id, collection) for id in "abc" for collection in "xy"]
        heads = self.do(self.stores[0].heads(every))
        assert {k: h.version for k, h in heads.items()} == {
            k: e.version for k, e in self.model.entries.items()
        }
        for k, head in heads.items():
            content = self.model.entries[k].content
            assert head.deleted == isinstance(content, Delete)
            written = content.document if isinstance(content, Put) else content
            assert (head.content_version, head.origin) == (written.version, written.origin)

    @invariant()
    def search_agrees(self) -> None:
        for store in self.stores:
            for model in MODELS:
                hits = self.do(dense(store, vector_of("alpha"), 99, model=model))
                found = sorted((hit.key, hit.ordinal, hit.text) for hit in hits)
                assert found == self.model.chunks(model)
            hits = self.do(keyword(store, "alpha", 99))
            found = sorted((hit.key, hit.ordinal, hit.text) for hit in hits)
            assert found == [chunk for chunk in self.model.chunks() if chunk[2] == "alpha"]

    @invariant()
    def counts_agree(self) -> None:
        live = self.model.live()
        expected = Counts(len(live), len(self.model.chunks()))
        assert self.do(self.stores[1].count()) == expected

    @invariant()
    def documents_agree(self) -> None:
        for id in "abc":
            stored = self.do(self.stores[1].document(id))
            assert {d.head.key for d in stored} == {k for k in self.model.entries if k.id == id}
            for entry in stored:
                content = self.model.entries[entry.head.key].content
                texts = [c.text for c in content.chunks] if isinstance(content, Put) else []
                assert [chunk.text for chunk in entry.chunks] == texts
            topics = {TOPIC, "vector-updates"}
            for topic in topics:
                expected = {
                    k
                    for k, e in self.model.entries.items()
                    if k.id == id
                    and topic
                    == (
                        e.content.document if isinstance(e.content, Put) else e.content
                    ).origin.topic
                }
                assert set(self.do(self.stores[0].written_by(topic, id))) == expected


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
