"""The owner of a batch: what it reads, whose declarations it takes, and what it closes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from agents import progress as agent
from tables.batches import Unfoldable
from tables.fold import fold
from tickertape import headers as h
from tickertape.delivery import progress
from tickertape.delivery.outcome import Done, State, Work
from tickertape.delivery.progress import Delta, Event, Forget
from tickertape.errors import InvalidRecord, OutageError, Undecodable
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings
from tickertape.versions import Origin

SETTINGS = Settings(batch_idle_seconds=60, batch_retention_hours=2)
PROGRESS = SETTINGS.topic_batch_progress


def record(
    value: Any, *, key=b"b", headers=(), topic=SETTINGS.topic_batch_status, partition=0, offset=1
) -> Record:
    data = value if isinstance(value, bytes | None) else orjson.dumps(value)
    return Record(topic, partition, offset, key, data, headers, 1_790_000_000_000)


def delta(outgoing: Outgoing, offset: int = 1, partition: int = 0) -> Work[Delta]:
    """What the owner reads of a delta that was sent."""
    sent = record(
        outgoing.value, key=outgoing.key, topic=PROGRESS, partition=partition, offset=offset
    )
    return Work(sent, agent.read_delta(sent))


def moved(batch: str, state: State, *offsets: int) -> Outgoing:
    events = [Event(batch, Origin("t", 0, at), "store", ("store",), state) for at in offsets]
    (found,) = progress.outgoing(PROGRESS, events)
    return found


class Table:
    """Cells in a dict, the partitions that were written to, and an error to come."""

    def __init__(self):
        self.cells: dict[str, Any] = {}
        self.entered: list[tuple[str, int]] = []
        self.error: Exception | None = None
        self.unfoldable: str | None = None

    def get(self, key):
        return self.cells.get(key)

    def set(self, key, value):
        self.cells[key] = value

    def apply(self, deltas):
        if self.error is not None:
            raise self.error
        if self.unfoldable in {delta.batch_id for delta in deltas}:
            raise Unfoldable("it does not add up")
        return [Outgoing("out", id.encode(), None) for id in fold(self, deltas)]

    @contextmanager
    def partition(self, topic, number):
        self.entered.append((topic, number))
        yield

    def handle(self, name):
        specs = agent.specs(SETTINGS, self.apply, self.partition)
        (found,) = [spec for spec in specs if spec.name == name]
        return found.handle


def test_a_producers_queued_declares_a_batch():
    value = {"batch_id": "b", "status": "Queued", "total_documents": 7, "who": "them"}
    assert agent.read_declaration(record(value)) == Delta("b", total=7, declared=True)
    unkeyed = {"status": "queued", "total_documents": 7}
    assert agent.read_declaration(record(unkeyed)) == Delta("b", total=7, declared=True)
    without = {"batch_id": "b", "status": "queued"}
    assert agent.read_declaration(record(without)) == Delta("b", declared=True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"batch_id": "b", "status": "completed", "total_documents": 7},
    ],
)
def test_tombstones_and_other_states_declare_nothing(value):
    assert agent.read_declaration(record(value)) is None


def test_what_we_announce_ourselves_is_passed_over():
    (spec,) = [s for s in agent.specs(SETTINGS, None, None) if s.name == "declarations"]
    assert spec.passes(record(b"not even read", headers=((h.OWN, b"1"),)))
    assert not spec.passes(record(b"not even read"))


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ({"batch_id": "b", "status": "queued", "total_documents": -1}, InvalidRecord, "^total_doc"),
        ({"batch_id": "b", "status": "queued", "total_documents": "7"}, InvalidRecord, "^total_d"),
        ({"batch_id": "b", "status": "soon"}, InvalidRecord, "^status: expected one of queued"),
        ({"batch_id": [], "status": "queued"}, InvalidRecord, "^batch_id: "),
        (b"[]", Undecodable, "expected a JSON object"),
    ],
)
def test_a_wrong_declaration_names_the_field(value, error, says):
    with pytest.raises(error, match=says):
        agent.read_declaration(record(value))


async def test_a_declaration_goes_to_the_owner_of_its_batch():
    handle = Table().handle("declarations")
    value = {"batch_id": "b", "status": "queued", "total_documents": 7}
    works = [Work(record(value), agent.read_declaration(record(value))), Work(record(None), None)]
    declared, nothing = await handle(works)
    assert nothing == Done([])
    (sent,) = declared.outputs
    assert (sent.topic, sent.key) == (PROGRESS, b"b")
    assert delta(sent).item == Delta("b", total=7, declared=True)


@pytest.mark.parametrize("value", [b"{}", b"[]", b"no", b'{"batch_id":"b","items":[[1,2]]}'])
def test_what_is_no_delta_is_a_dead_letter(value):
    with pytest.raises((InvalidRecord, Undecodable)):
        agent.read_delta(record(value, topic=PROGRESS))


async def test_each_partition_is_written_as_its_own_and_a_batch_is_told_once_a_window():
    table = Table()
    works = [
        delta(moved("a", State.DONE, 1), offset=1, partition=0),
        delta(moved("a", State.DONE, 2), offset=2, partition=0),
        delta(moved("b", State.DONE, 3), offset=1, partition=1),
    ]
    outcomes = await table.handle("progress")(works)
    assert table.entered == [(PROGRESS, 0), (PROGRESS, 1)]
    assert [[out.key for out in outcome.outputs] for outcome in outcomes] == [[], [b"a"], [b"b"]]


async def test_a_table_that_fails_holds_the_flow_and_loses_no_delta():
    table = Table()
    table.error = RuntimeError("changelog")
    with pytest.raises(OutageError, match="changelog") as caught:
        await table.handle("progress")([delta(moved("a", State.DONE, 1))])
    assert caught.value.dependency == agent.TABLE


async def test_a_delta_that_the_fold_cannot_take_is_dead_alone():
    table = Table()
    table.unfoldable = "bad"
    works = [delta(moved(name, State.DONE, 1), offset=n) for n, name in enumerate("ab")]
    works.insert(1, delta(moved("bad", State.DONE, 1), offset=9))
    first, bad, last = await table.handle("progress")(works)
    assert [out.key for out in first.outputs] == [b"a"]
    assert [out.key for out in last.outputs] == [b"b"]
    assert isinstance(bad.error, InvalidRecord)


class Reader:
    """What the reader of batch-status knows now."""

    asked: tuple[float, ...] = ()

    def idle(self, seconds, repeats_seconds):
        self.asked += (seconds, repeats_seconds)
        return [{"batch_id": "quiet", "last": 1234}]

    def expired(self, hours):
        self.asked += (hours,)
        return [{"batch_id": "old", "last": 5}]

    def surplus(self):
        return [{"batch_id": "too many", "last": 6}]

    def overwritten(self):
        return ["zombie's"]


def test_quiet_batches_are_closed_old_ones_forgotten_overwritten_ones_written_again():
    reader = Reader()
    found = [delta(sent).item for sent in agent.closings(SETTINGS, reader)]
    assert found == [
        Delta("quiet", close=1234),
        Delta("old", forget=Forget(5, 7_200_000)),
        Delta("too many", forget=Forget(6)),
        Delta("zombie's", refresh=True),
    ]
    assert reader.asked == (60, 30, 2)
    brief = Reader()
    list(agent.closings(Settings(batch_idle_seconds=1), brief))
    assert brief.asked[:2] == (1, 1), "repeats do not wait longer than idleness"
