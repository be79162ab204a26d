"""What `verify` finds in stores and topics, and how it mends that."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.contract.store_kit import delete, key, part, put, touch, vector_of, version
from tests.memory_store import Memory
from tickertape.cli.verify import Saved
from tickertape.delivery.outcome import Outcome
from tickertape.delivery.spec import Spec, TopicRoute
from tickertape.documents import DocumentKey, Head
from tickertape.editions import Edition
from tickertape.errors import PermanentError
from tickertape.pipeline import Embedded, Item, Removal
from tickertape.record import Outgoing, Record
from tickertape.stores.copying import bring
from tickertape.verify import stores as walks
from tickertape.verify.chunks import cosine
from tickertape.verify.findings import Finding, Kind, Tally
from tickertape.verify.repair import COPIED, DELETED, FORGOTTEN, SENT, Repair
from tickertape.verify.stores import Mark, Walk
from tickertape.verify.topics import DELETES_DAYS, Topics, unknown
from tickertape.versions import Origin, Stamp, Version

KEYS = [key(f"id {number}") for number in range(10)]


async def pair() -> tuple[Memory, Memory]:
    """A ledger and a store that follows it, alike."""
    first, store = Memory("first"), Memory("second")
    puts = [put(each.id, f"{each.id} one", f"{each.id} two") for each in KEYS]
    parts = [part("parts", number, 3, f"part {number}", version(number)) for number in (0, 2)]
    await first.apply([*puts, *parts, delete("id 9", version(5))])
    await bring(first, store, [*KEYS, key("parts")])
    return first, store


async def found(*stores: Memory, **more: object) -> list[Finding]:
    walk = Walk(stores, again_seconds=0.0, **more)  # type: ignore[arg-type]
    return [each async for step in walk.steps() for each in step.findings]


def said(findings: Sequence[Finding]) -> list[tuple[str, str, str | None]]:
    return [(one.store, one.kind.value, one.key.id if one.key else None) for one in findings]


def spoil(store: Memory, id: str, **changes: object) -> None:
    """Change the chunks of a document behind everybody's back."""
    ((part, (edition, made)),) = store.entries[key(id)].texts.items()
    chunks = changes.pop("chunks", made.chunks)
    assert isinstance(chunks, list)
    store.entries[key(id)].texts[part] = edition, replace(made, chunks=chunks)


async def test_stores_that_agree_have_nothing_found_whatever_the_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, store = await pair()
    for page in (1, 3, 11, 100):
        monkeypatch.setattr(walks, "PAGE", page)
        assert await found(first, store) == []
        assert await found(first) == []


async def test_what_is_missing_stale_or_orphaned_is_told_and_copied() -> None:
    first, store = await pair()
    del store.entries[key("id 1")]
    await first.apply([touch("id 2", version(8), chunks=2), put("id 3", "new", at=version(9))])
    await first.apply([delete("id 4", version(9)), put("late", "new", at=version(9))])
    findings = await found(first, store)
    assert sorted(said(findings)) == [
        ("second", "missing", "id 1"),
        ("second", "missing", "late"),
        ("second", "orphaned", "id 4"),
        ("second", "stale", "id 2"),
        ("second", "stale", "id 3"),
    ]
    assert await Repair([first, store]).mend(findings) == [COPIED] * 5
    assert await found(first, store) == []


async def test_what_the_ledger_does_not_know_of_is_deleted_only_when_that_is_asked_for() -> None:
    first, store = await pair()
    at = Version((7,), Stamp(50, 3, 1, "text-messages"))
    await store.apply([put("orphan", "x", at=at)])
    findings = await found(first, store)
    assert said(findings) == [("second", "orphaned", "orphan")]
    (kept,) = await Repair([first, store]).mend(findings)
    assert kept.startswith("kept")
    assert await Repair([first, store], deletes=True).mend(findings) == [DELETED]
    assert store.text("orphan", "news") is None
    assert await found(first, store) == []
    later = replace(at, stamp=replace(at.stamp, offset=4))
    await store.apply([put("orphan", "again", at=later)])
    assert store.text("orphan", "news") == "again", "what comes next is not kept out"


async def test_chunks_that_are_doubled_gone_or_of_another_size_are_told_and_copied() -> None:
    first, store = await pair()
    chunks = {each.id: list(store.entries[each].chunks) for each in KEYS[:9]}
    spoil(store, "id 0", chunks=[*chunks["id 0"], chunks["id 0"][1]])
    spoil(store, "id 1", chunks=chunks["id 1"][1:])
    spoil(store, "id 2", chunks=[replace(chunks["id 2"][0], vector=vector_of("x", 9))])
    spoil(store, "id 3", chunks=[replace(c, vector=vector_of("other")) for c in chunks["id 3"]])
    spoil(store, "id 4", chunks=[replace(c, text="other") for c in chunks["id 4"]])
    nan = np.full(16, np.nan, np.float32)
    spoil(store, "id 5", chunks=[replace(c, vector=nan) for c in chunks["id 5"]])
    findings = await found(first, store)
    kinds = {(each.kind, each.key.id) for each in findings if each.key is not None}
    assert {id for _, id in kinds} == {f"id {number}" for number in range(6)}
    assert (Kind.STALE, "id 0") in kinds  # its head counts another chunk
    assert (Kind.DAMAGED, "id 3") in kinds
    assert "another vector" in next(f.detail for f in findings if f.key == key("id 3"))
    assert set(await Repair([first, store]).mend(findings)) == {COPIED}
    assert await found(first, store) == []


async def test_the_ledger_itself_is_looked_into() -> None:
    first, store = await pair()
    chunks = list(first.entries[key("id 0")].chunks)
    doubled = [*chunks, chunks[0]]

    async def document(id: str, *where: str) -> object:
        stored = await Memory.document(first, id, *where)
        return [replace(each, chunks=doubled) for each in stored] if id == "id 0" else stored

    first.document = document  # type: ignore[method-assign, assignment]
    assert said(await found(first, store)) == [("first", "doubled", "id 0")]
    (became,) = await Repair([first, store]).mend(await found(first, store))
    assert became == "it cannot be sent again from here"


async def test_chunks_of_no_document_are_told_by_their_number() -> None:
    first, store = await pair()
    count = store.count

    async def more(*where: str) -> object:
        counts = await count(*where)
        return replace(counts, chunks=counts.chunks + 3)

    store.count = more  # type: ignore[method-assign, assignment]
    (one,) = await found(first, store)
    assert (one.kind, one.store, one.key) == (Kind.DOUBLED, "second", None)
    assert one.detail == "3 chunks are of no document"


async def test_what_is_written_meanwhile_is_no_fault() -> None:
    """A store that is just told of a change: it is looked at again."""
    first, store = await pair()
    await first.apply([put("id 1", "new", at=version(9))])
    heads, turns = store.heads, 0

    async def later(keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
        nonlocal turns
        turns += 1
        if turns == 2:
            await bring(first, Memory("third"), [])
            store.heads = heads  # type: ignore[method-assign]
            await bring(first, store, [key("id 1")])
        return await heads(keys)

    store.heads = later  # type: ignore[method-assign]
    assert await found(first, store) == []
    assert turns >= 2


async def test_a_document_that_cannot_be_copied_says_why() -> None:
    first, store = await pair()
    del store.entries[key("id 1")]
    store.refused["id 1"] = PermanentError("metadata too deep")
    findings = await found(first, store)
    assert await Repair([first, store]).mend(findings) == ["metadata too deep"]


async def test_a_walk_goes_on_from_its_mark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Stopped after every page, from the file alone, it finds the same."""
    monkeypatch.setattr(walks, "PAGE", 3)
    first, store = await pair()
    for id in ("id 0", "id 5", "parts"):
        del store.entries[key(id)]
    await store.apply([put("orphan", "x")])
    whole = said(await found(first, store))
    path = tmp_path / "verify.json"
    state, pieces, turns = Saved(["first", "second"]), [], 0
    while state.walk.store < 2:
        walk = Walk([first, store], mark=state.walk, again_seconds=0.0)
        async for step in walk.steps():
            pieces += said(step.findings)
            state.tally.add(step.findings)
            break
        state.walk = walk.mark
        if state.walk.after is None:  # its count comes next
            state.walk = Mark(state.walk.store + 1)
        state.save(path)
        state = Saved.read(path, ["first", "second"])
        turns += 1
        assert turns < 30
    assert pieces == whole
    assert state.tally.open == len(whole)
    assert Saved.read(path, ["first"]) == Saved(["first"]), "of other stores: begun anew"


async def test_a_sample_looks_at_a_share_and_at_the_same_everywhere() -> None:
    first, store = Memory("first"), Memory("second")
    await first.apply([put(f"doc {number}", "x") for number in range(1000)])
    looked: dict[str, int] = {}
    for each in first.entries:
        await bring(first, store, [each])
    walk = Walk([first, store], share=0.2, again_seconds=0.0)
    async for step in walk.steps():
        looked[step.store] = looked.get(step.store, 0) + step.looked
    assert looked["first"] == looked["second"]
    assert 120 < looked["first"] < 280


async def test_chunks_to_embed_again_are_sampled_of_all() -> None:
    first, _ = await pair()
    walk = Walk([first], model="tests/model@fp32", samples_max=5, again_seconds=0.0)
    async for _ in walk.steps():
        pass
    assert len(walk.samples) == 5
    other = Walk([first], model="another", samples_max=5, again_seconds=0.0)
    async for _ in other.steps():
        pass
    assert other.samples == []


async def test_what_a_record_says_is_looked_for_in_the_ledger() -> None:
    ledger = Memory()
    old, new = put("a", "old", at=version(1)), put("a", "new", at=version(5))
    await ledger.apply([old])
    head = ledger.head(key("a"))
    assert unknown(old.document, head) is None
    assert unknown(new.document, head) == "not the newest, as text-messages/3/7 says"
    assert unknown(new.document, None) == "not there, as text-messages/3/7 says"
    await ledger.apply([new, delete("a", version(9))])
    assert unknown(new.document, ledger.head(key("a"))) is None, "deleted since"
    piece = part("p", 1, 3, "x", version(2))
    made = Embedded(piece.document, piece.chunks[0].vector, piece.model, 1, 3)
    assert made.edition == Edition(version(2), 1, 3, piece.model)
    assert unknown(made, None) is not None
    await ledger.apply([piece])
    assert unknown(made, ledger.head(key("p"))) is None


async def test_a_delete_is_known_or_too_old_to_be() -> None:
    ledger = Memory()
    now = Version((), Stamp(2_000_000_000_000, 5, 0, "text-messages"))
    removal = Removal("a", now, Origin("text-messages", 0, 5))
    await ledger.apply([put("a", "x")])
    assert unknown(removal, ledger.head(key("a"))) == (
        "its delete is not known, as text-messages/0/5 says"
    )
    await ledger.apply([delete("a", now, None)])
    assert unknown(removal, ledger.head(key("a"))) is None
    assert unknown(removal, ledger.head(DocumentKey("", "a"))) is None
    long_ago = replace(removal, version=version(1))
    assert unknown(long_ago, None) is None


async def test_what_may_have_been_deleted_and_forgotten_is_told_and_not_sent_again() -> None:
    days = [time.time() * 1000 - age * 86_400_000 for age in (DELETES_DAYS + 1, DELETES_DAYS - 1)]
    old, new = (
        put(id, "x", at=version(int(ms))).document
        for id, ms in zip(("old", "new"), days, strict=True)
    )
    stale = put("stale", "y", at=version(int(days[0]))).document
    items: list[Item] = [old, new, stale]

    async def handle(_works: object) -> list[Outcome]:
        return []

    spec = Spec("write", {"t": TopicRoute("t")}, lambda record: items[record.offset], handle)
    ledger = Memory()
    await ledger.apply([put("stale", "x", at=version(1))])
    records = [Record("t", 0, at, b"k", b"v", (), 1) for at in range(3)]
    lost = [one for _, one in await Topics("", "", [spec], ledger)._look(spec, records)]
    assert [one.finding.key.id for one in lost if one.finding.key] == ["old", "new", "stale"]
    sent: list[Outgoing] = []

    async def send(records: Sequence[Outgoing]) -> list[Exception | None]:
        sent.extend(records)
        return [None] * len(records)

    assert await Repair([ledger], send=send).resend(lost) == [FORGOTTEN, SENT, SENT]
    assert [out.key for out in sent] == [b"new", b"stale"]


def test_a_tally_is_read_as_it_was_written() -> None:
    tally = Tally()
    tally.add([Finding(Kind.STALE, "a", key("x"), ""), Finding(Kind.STALE, "b", None, "")])
    tally.looked["a"] += 3
    tally.mended = 1
    assert Tally.of_json(json.loads(json.dumps(tally.as_json()))) == tally
    assert tally.open == 1


def test_vectors_of_other_sizes_are_not_alike() -> None:
    assert cosine(vector_of("x"), vector_of("x")) == pytest.approx(1.0)
    assert cosine(vector_of("x"), vector_of("x", 8)) == 0.0
    assert cosine(np.zeros(3, np.float32), np.zeros(3, np.float32)) == 1.0
