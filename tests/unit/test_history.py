"""Conversations: how they change, what is bounded, and that what was deleted is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import faust
import orjson
import pytest

from tables.confirmed import ConfirmedTable
from tables.history import apply
from tickertape.errors import PermanentError, TransientError
from tickertape.history import (
    BYTES_MAX,
    OWN_SECONDS,
    SEEN_MAX,
    TURNS_MAX,
    Change,
    History,
    Talk,
    Turn,
    decode,
    encode,
    fold,
)
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings
from worker import table_partition


def said(id: str, *texts: str, whole: bool = False, at: int = 0) -> Change:
    turns = [Turn(("user", "assistant")[n % 2], text, 5.0) for n, text in enumerate(texts)]
    return Change("ada", id, tuple(turns), whole, at)


def texts(state: Talk | None) -> list[str]:
    return [turn["content"] for turn in state["turns"]] if state else []


def record(out: Outgoing, at: int = 7) -> Record:
    return Record(out.topic, 0, 0, out.key, out.value, [], at)


def test_a_change_survives_its_record() -> None:
    change = said("1", "Why?", "Because.", at=7)
    assert decode(record(encode("t", change))) == change


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"[]",
        None,
        b'{"id": "1", "whole": false, "turns": [["system", "x", 1]]}',
        b'{"id": "1", "whole": false, "turns": [["user", "x"]]}',
        b'{"turns": []}',
    ],
)
def test_what_is_no_change_is_refused(value: bytes | None) -> None:
    with pytest.raises(PermanentError):
        decode(Record("t", 0, 0, b"ada", value, [], 1))


def test_turns_are_added_once_and_replaced_and_deleted() -> None:
    state = fold(None, said("1", "a", "b"))
    assert texts(state) == ["a", "b"]
    assert fold(state, said("1", "a", "b")) == state  # a redelivery
    state = fold(state, said("2", "c", "d"))
    assert texts(state) == ["a", "b", "c", "d"]
    assert texts(fold(state, said("3", "x", whole=True))) == ["x"]
    assert fold(state, said("4", whole=True)) is None


def test_a_conversation_is_bounded() -> None:
    state = None
    for n in range(TURNS_MAX + 50):
        state = fold(state, said(str(n), f"{n}"))
    assert texts(state) == [str(n) for n in range(50, TURNS_MAX + 50)]
    assert state is not None
    assert len(state["seen"]) == SEEN_MAX
    state = fold(state, said("long", "x" * (BYTES_MAX - 10)))
    assert texts(state)[-1][:1] == "x"
    assert sum(map(len, texts(state))) <= BYTES_MAX
    assert len(texts(fold(None, said("longer", "y", "x" * 2 * BYTES_MAX)))) == 1


@pytest.fixture
def table() -> ConfirmedTable:
    app = faust.App("chat", broker="kafka://localhost:1", store="memory://")
    made: ConfirmedTable = app.tables.add(ConfirmedTable(app, name="history"))
    return made


class Kafka:
    """The topic and the changelog: what is told comes back when it is let through."""

    def __init__(self, table: ConfirmedTable) -> None:
        self.table = table
        self.told: list[Outgoing] = []
        self.log: list[Outgoing] = []
        self.down: Exception | None = None

    async def send(self, records: list[Outgoing]) -> list[Exception | None]:
        if self.down is None:
            self.told += records
        return [self.down for _ in records]

    def fold(self) -> list[Outgoing]:
        """What the owner writes for what was told."""
        changes = [decode(record(out, at=n)) for n, out in enumerate(self.told, len(self.log))]
        self.told.clear()
        with table_partition("chat-turns", 0):
            written = apply(self.table, changes)
        self.log += written
        return written


def come(history: History, *written: Outgoing) -> None:
    for out in written:
        history.take(SimpleNamespace(key=out.key, value=out.value))


def worker(kafka: Kafka, clock: Any = None) -> History:
    made = History(Settings(_env_file=None), kafka.send, clock or (lambda: 0.0))
    made._reader._caught_up = True
    return made


async def test_what_was_said_is_known_at_once_and_everywhere_when_it_comes_back(
    table: ConfirmedTable,
) -> None:
    kafka = Kafka(table)
    here, there = worker(kafka), worker(kafka)
    await here.add("ada", "Why?", "Because.")
    await here.add("ada", "And?", "So.")
    expected = ["Why?", "Because.", "And?", "So."]
    assert [turn.content for turn in here.get("ada")] == expected
    assert there.get("ada") == []
    written = kafka.fold()
    assert [(out.topic, out.partition) for out in written] == [("chat-history-changelog", 0)]
    for each in (here, there):
        come(each, *written)
        assert [turn.content for turn in each.get("ada")] == expected
    assert here.get("bob") == []


async def test_what_is_deleted_is_gone_here_there_and_in_the_changelog(
    table: ConfirmedTable,
) -> None:
    kafka = Kafka(table)
    here, there = worker(kafka), worker(kafka)
    await here.add("ada", "Why?", "Because.")
    written = kafka.fold()
    come(here, *written)
    come(there, *written)
    await there.replace("ada", [])
    assert there.get("ada") == []
    (gone,) = kafka.fold()
    assert (orjson.loads(gone.key or b""), gone.value) == ("ada", None)
    assert "ada" not in table.data
    for each in (here, there):
        come(each, gone)
        assert each.get("ada") == []
    await here.add("ada", "Again?", "Yes.")
    assert len(here.get("ada")) == 2


async def test_an_older_value_of_a_worker_that_woke_is_passed_over(table: ConfirmedTable) -> None:
    kafka = Kafka(table)
    here = worker(kafka)
    await here.add("ada", "1", "2")
    first = kafka.fold()
    await here.add("ada", "3", "4")
    second = kafka.fold()
    come(here, *second, *first)
    assert len(here.get("ada")) == 4


async def test_what_never_comes_back_is_not_kept_for_ever(table: ConfirmedTable) -> None:
    now = [0.0]
    here = worker(Kafka(table), lambda: now[0])
    await here.add("ada", "1", "2")
    assert len(here.get("ada")) == 2
    now[0] = OWN_SECONDS + 1
    assert here.get("ada") == []


async def test_what_changes_nothing_and_never_comes_back_is_not_kept_for_ever(
    table: ConfirmedTable,
) -> None:
    now = [0.0]
    here = worker(Kafka(table), lambda: now[0])
    await here.replace("nobody", [])
    await here.replace("bob", [])
    now[0] = OWN_SECONDS / 2
    await here.add("nobody", "1", "2")
    now[0] = OWN_SECONDS + 1
    await here.add("ada", "1", "2")
    assert list(here._own) == ["nobody", "ada"]
    assert len(here.get("nobody")) == 2


@pytest.mark.parametrize("when", [253402300799.999999, 1e300, -1e300, 0.0])
def test_any_time_is_shown(when: float) -> None:
    assert Turn("user", "x", when).shown()["timestamp"].endswith("+00:00")


async def test_what_kafka_has_not_taken_is_said(table: ConfirmedTable) -> None:
    kafka = Kafka(table)
    here = worker(kafka)
    kafka.down = TransientError("the broker is away")
    with pytest.raises(TransientError, match="away"):
        await here.add("ada", "1", "2")
    assert here.get("ada") == []
    here._reader._caught_up = False
    with pytest.raises(TransientError, match="reading"):
        here.get("ada")


def test_what_is_no_conversation_is_passed_over(table: ConfirmedTable) -> None:
    here = worker(Kafka(table))
    for key, value in ((None, b"{}"), (b"{", b"{}"), (b"[1]", b"{}"), (b'"ada"', b"{}")):
        here.take(SimpleNamespace(key=key, value=value))
    assert here.get("ada") == []
