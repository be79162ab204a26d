"""Replays: what is produced, in which order it is confirmed, and what a stop leaves behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.progress import read_delta
from tables.fold import fold
from tests.web_parts import MemoryBatches, MemoryLetters, MemoryPublisher
from tickertape import topics
from tickertape.decode import parse
from tickertape.delivery import headers as h
from tickertape.delivery import progress
from tickertape.delivery.letters import dead, retry
from tickertape.delivery.outcome import State as ItemState
from tickertape.delivery.record import Outgoing, Record
from tickertape.dlq import edit
from tickertape.dlq.box import DeadLetters, Selection
from tickertape.dlq.letter import Letter, Place
from tickertape.dlq.marks import AGAIN, State
from tickertape.dlq.replay import Plan, Totals
from tickertape.documents import Origin, Version
from tickertape.errors import (
    BrokerError,
    InvalidRecord,
    PermanentError,
    TransientError,
)
from tickertape.settings import Settings

SETTINGS = Settings(_env_file=None, data_dir=Path("/nowhere"), replays_max=3)
TEXT = "text-messages"
MARKS = topics.replays(SETTINGS.app_id)
ALL = Selection()


class Kafka:
    """Dead letters in memory, and what a replay sends."""

    def __init__(self) -> None:
        self.publisher = MemoryPublisher(MemoryBatches(), "no batches")
        self.letters = MemoryLetters(self.publisher)
        self.windows: list[list[Outgoing]] = []

    async def send(self, records: Sequence[Outgoing]) -> list[Exception | None]:
        self.windows.append(list(records))
        return await self.publisher.send(records)

    def box(self, send: Any = None) -> DeadLetters:
        return DeadLetters(SETTINGS, send or self.send, self.letters.open)

    def sent(self, topic: str) -> list[Outgoing]:
        return [record for record in self.publisher.sent if record.topic == topic]

    def put(self, letter: Outgoing, offset: int = 0) -> Place:
        """A letter as the flow itself makes it."""
        base = letter.topic.removesuffix("-dlq")
        self.letters.existing |= {topics.rekeyed(base), topics.parking(base), base}
        self.letters.existing.add(topics.retry(base, 0))
        place = Place(letter.topic, 0, offset)
        batch = h.last(letter.headers, h.BATCH)
        self.letters.letters.append(
            Letter(place, 9, letter.key, letter.value, letter.headers, 0, batch)
        )
        return place

    async def replay(self, selection: Selection = ALL, **plan: Any) -> Totals:
        return await self.box().replay(selection, Plan(**plan), keep=100)


class Killed(BaseException):
    """Nothing handles it."""


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


def as_read(record: Outgoing, offset: int = 40) -> Record:
    """The replayed record as its flow reads it."""
    return Record(
        record.topic, 3, offset, record.key, record.value, record.headers, 7000, trusted=True
    )


def value(id: str = "d", text: Any = "t", **more: Any) -> bytes:
    return json.dumps({"id": id, "text": text, **more}).encode()


def died(record: Record, base: str = TEXT, batch: str | None = "b") -> Outgoing:
    return dead(record, base, "group", 0, InvalidRecord("text", "a non-empty string"), batch)


def states(records: Sequence[Outgoing]) -> dict[str, Any]:
    """What the batch's owner makes of deltas, as (retrying, dead, done)."""
    cells: dict[str, Any] = {}

    class Cells:
        get = staticmethod(cells.get)
        set = staticmethod(cells.__setitem__)

    deltas = [
        read_delta(Record(record.topic, 0, offset, record.key, record.value, (), 1))
        for offset, record in enumerate(records)
    ]
    found = fold(Cells(), deltas)  # type: ignore[arg-type]
    state = found["b"]
    assert state is not None
    return {name: state[name] for name in ("retrying", "dead", "done")}


async def test_the_record_comes_back_as_it_first_was(kafka: Kafka) -> None:
    theirs = [
        ("traceparent", b"00-a-b-01"),
        ("x", b"1"),
        ("x", b"2"),
        ("null", None),
        ("raw", b"\xff"),
    ]
    first = Record(TEXT, 2, 17, b"k", value(), tuple(theirs), 1234)
    copy = retry(first, TEXT, 0, 5.0, TransientError("down"))
    retried = Record(copy.topic, 5, 99, copy.key, copy.value, copy.headers, 5678, trusted=True)
    kafka.put(died(retried))
    totals = await kafka.replay()
    assert (totals.replayed, totals.parked, totals.failed) == (1, 0, 0)
    (out,) = kafka.sent(topics.rekeyed(TEXT))
    assert out.value == first.value
    assert out.key == b"d"
    assert [pair for pair in out.headers if pair in theirs] == theirs
    names = [name for name, _ in out.headers]
    gone = [n for n in names if n.startswith(("kafka_dlt-", "retry_topic-"))]
    assert gone == ["retry_topic-original-timestamp"]  # it says when it first came
    assert h.ERROR_CLASS not in names
    read = as_read(out)
    assert read.origin == Origin(TEXT, 2, 17)
    assert read.version == Version(1234, 17)
    assert (read.header(h.REPLAYS), read.header(h.REKEYED)) == ("1", "1")
    assert read.header(h.EDITED) is None
    assert read.header(h.RETRY_FIRST) == "1234"
    assert len(names) == len(theirs) + 6  # origin, version, batch, replays, rekeyed, first


async def test_a_replay_is_counted_on_and_its_batch_is_open_again(kafka: Kafka) -> None:
    record = Record(TEXT, 2, 17, b"d", value(batch_id="b"), (), 1234)
    told = [
        progress.event(record, "b", "store", ("store",), ItemState.DEAD),
    ]
    (was_dead,) = progress.outgoing("p", told)
    assert states([was_dead]) == {"retrying": 0, "dead": 1, "done": 0}
    kafka.put(died(record))
    await kafka.replay()
    (delta,) = kafka.sent(SETTINGS.topic_batch_progress)
    assert delta.key == b"b"
    assert states([was_dead, delta]) == {"retrying": 1, "dead": 0, "done": 0}

    # It dies again, and is replayed again.
    (out,) = kafka.sent(topics.rekeyed(TEXT))
    again = as_read(out)
    event = progress.event(again, "b", "store", ("store",), ItemState.DEAD)
    (died_again,) = progress.outgoing("p", [event])
    assert states([was_dead, died_again, delta]) == {"retrying": 0, "dead": 1, "done": 0}
    kafka.put(died(again), offset=1)
    await kafka.replay()
    second = kafka.sent(SETTINGS.topic_batch_progress)[1]
    deltas = [was_dead, delta, died_again, second]
    assert states(deltas) == {"retrying": 1, "dead": 0, "done": 0}
    last = as_read(kafka.sent(topics.rekeyed(TEXT))[1])
    assert last.header(h.REPLAYS) == "2"
    done = progress.event(last, "b", "store", ("store",), ItemState.DONE)
    for order in ([*deltas, *progress.outgoing("p", [done])], deltas):
        order = [*progress.outgoing("p", [done]), *order]
        assert states(order) == {"retrying": 0, "dead": 0, "done": 1}


async def test_an_edited_replay_is_a_newer_version_of_the_same_item(kafka: Kafka) -> None:
    record = Record(TEXT, 2, 17, b"d", value(text=5, batch_id="b"), (), 1234)
    place = kafka.put(died(record))
    await kafka.replay(edit=edit.setting(['text="mended"', 'id="e"']))
    (out,) = kafka.sent(topics.rekeyed(TEXT))
    assert parse(out.value) == {"id": "e", "text": "mended", "batch_id": "b"}
    assert out.key == b"e"
    read = as_read(out, offset=3)
    assert read.origin == record.origin
    assert read.version == Version(7000, 3)  # that of the replayed record itself
    assert read.header(h.EDITED) == "1"
    assert read.header(h.EDITED_FROM) == str(place)
    assert kafka.letters.letters[0].value == record.value
    # It dies once more: the next replay is the same version, and says where the edit came from.
    kafka.put(died(read), offset=1)
    await kafka.replay()
    again = as_read(kafka.sent(topics.rekeyed(TEXT))[1], offset=9)
    assert again.version == Version(7000, 3)
    assert again.header(h.EDITED_FROM) == str(place)


async def test_a_batch_that_stood_in_a_header_only_is_told_to_the_edited_payload(
    kafka: Kafka,
) -> None:
    headers = ((h.BATCH, b"b"),)
    kafka.put(died(Record(TEXT, 0, 0, None, b"\xff", headers, 1)))
    await kafka.replay(edit=edit.replacing('{"text": "mended"}'))
    (out,) = kafka.sent(topics.rekeyed(TEXT))
    assert parse(out.value) == {"text": "mended", "batch_id": "b"}
    assert states(kafka.sent(SETTINGS.topic_batch_progress))["retrying"] == 1


async def test_an_edit_that_does_not_fit_fails_that_letter_only(kafka: Kafka) -> None:
    kafka.put(died(Record(TEXT, 0, 0, b"a", b"\xff", (), 1)))
    kafka.put(died(Record(TEXT, 0, 1, b"b", None, (), 1), batch=None), offset=1)
    kafka.put(died(Record(TEXT, 0, 2, b"c", value(batch_id="b"), (), 1), batch="b"), offset=2)
    kafka.put(died(Record(TEXT, 0, 3, b"d", value(), (), 1), batch=None), offset=3)
    totals = await kafka.replay(edit=edit.setting(['batch_id="other"']))
    assert (totals.replayed, totals.failed) == (1, 3)
    errors = [result.error for result in totals.results]
    assert [error and error.split(":")[0] for error in errors] == [
        "not UTF-8",
        "payload",
        "batch_id",
        None,
    ]
    assert len(kafka.sent(topics.rekeyed(TEXT))) == 1


async def test_a_forged_count_of_replays_parks_nothing(kafka: Kafka) -> None:
    forged = (
        (h.REPLAYS, b"999"),
        (h.ORIGIN, b"elsewhere/1/2"),
        (h.VERSION, b"99999999999999.1"),
        (h.DLT_MESSAGE, b"forged"),
        (h.ERROR_CLASS, b"transient"),
        (h.REKEYED, b"1"),
        (h.EDITED_FROM, b"elsewhere-dlq/1/2"),
    )
    record = Record(TEXT, 2, 17, b"d", value(), forged, 1234)
    for step in range(2):  # as it came, and after a retry
        place = kafka.put(died(record), offset=step)
        letter = await kafka.letters.get(place)
        assert letter is not None
        assert (letter.replays, letter.error_class) == (0, "permanent")
        assert letter.origin == Origin(TEXT, 2, 17)
        assert "non-empty" in (letter.reason or "")
        copy = retry(record, TEXT, 0, 5.0, TransientError("down"))
        record = Record(copy.topic, 5, 99, b"d", copy.value, copy.headers, 5678, trusted=True)
    totals = await kafka.replay()
    assert (totals.replayed, totals.parked) == (2, 0)
    for out in kafka.sent(topics.rekeyed(TEXT)):
        assert as_read(out).version == Version(1234, 17)
        assert as_read(out).header(h.REPLAYS) == "1"


async def test_what_was_replayed_too_often_is_parked(kafka: Kafka) -> None:
    record = Record(TEXT, 2, 17, b"d", value(), (), 1)
    for time in range(SETTINGS.replays_max):
        kafka.put(died(record), offset=time)
        totals = await kafka.replay()
        assert (totals.replayed, totals.parked) == (1, 0)
        record = as_read(kafka.sent(topics.rekeyed(TEXT))[-1])
    letter = died(record)
    place = kafka.put(letter, offset=9)
    progress_before = len(kafka.sent(SETTINGS.topic_batch_progress))
    totals = await kafka.replay()
    assert (totals.replayed, totals.parked) == (0, 1)
    (parked,) = kafka.sent(topics.parking(TEXT))
    assert (parked.key, parked.value, list(parked.headers)) == (
        letter.key,
        letter.value,
        list(letter.headers),
    )
    assert len(kafka.sent(SETTINGS.topic_batch_progress)) == progress_before
    found = await kafka.box().get(place)
    assert found is not None
    assert found[1] is State.PARKED
    # It is not looked at, but from the parking topic it can be replayed by its name.
    assert (await kafka.replay(Selection(topics=(place.topic,)))).done == 0
    assert State.PARKED not in AGAIN
    kafka.put(Outgoing(topics.parking(TEXT), parked.key, parked.value, parked.headers), 0)
    totals = await kafka.replay(Selection(topics=(topics.parking(TEXT),)))
    assert totals.replayed == 1
    assert as_read(kafka.sent(topics.rekeyed(TEXT))[-1]).header(h.REPLAYS) == "4"


@pytest.mark.parametrize(
    ("base", "to", "part", "parts"),
    [
        ("financial-documents", "tickertape-financial-documents-rekeyed", "store", 2),
        ("embedding-requests", "tickertape-embedding-requests-rekeyed", "store", 1),
        ("vector-updates", "tickertape-vector-updates-rekeyed", "store", 1),
        ("embeddings", "tickertape-embeddings-rekeyed", "store", 1),
        ("summary-requests", "summary-requests", "summary", 2),
        ("data-ingestion", "data-ingestion-retry-0", None, 0),
        ("batch-status", "batch-status", None, 0),
        ("batch-progress", "batch-progress", None, 0),
    ],
)
async def test_each_flow_has_its_door(
    kafka: Kafka, base: str, to: str, part: str | None, parts: int
) -> None:
    kafka.put(died(Record(base, 0, 5, b"k", b"{}", (), 1), base))
    totals = await kafka.replay()
    assert totals.replayed == 1, totals.results
    (out,) = [record for record in kafka.sent(to) if record.value == b"{}"]
    assert out.key == b"k"
    told = [json.loads(r.value or b"") for r in kafka.sent("batch-progress") if r.key == b"b"]
    items = [item for delta in told for item in delta["items"]]
    if part is None:
        assert items == []
    else:
        ((topic, partition, told_part, told_parts, state, epoch, offsets),) = items
        assert (topic, partition, offsets) == (base, 0, [[5, 6]])
        assert (told_part, len(told_parts), state, epoch) == (part, parts, "retrying", 1)


async def test_a_delete_is_replayed_as_a_delete(kafka: Kafka) -> None:
    kafka.put(died(Record(TEXT, 0, 0, b"d", None, (), 1), batch=None))
    await kafka.replay()
    (out,) = kafka.sent(topics.rekeyed(TEXT))
    assert (out.key, out.value) == (b"d", None)
    assert kafka.sent(SETTINGS.topic_batch_progress) == []


async def test_what_cannot_go_back_is_named_and_the_others_go_on(kafka: Kafka) -> None:
    kafka.put(died(Record("renamed", 0, 0, b"a", value(), (), 1), "renamed"))
    kafka.put(died(Record(TEXT, 0, 1, b"b", value(), (), 1)), offset=1)
    kafka.put(died(Record("embeddings", 0, 2, b"c", value(), (), 1), "embeddings"), offset=2)
    kafka.letters.existing.remove(topics.rekeyed("embeddings"))
    selection = Selection(topics=("renamed-dlq", "text-messages-dlq", "embeddings-dlq"))
    totals = await kafka.replay(selection)
    assert (totals.replayed, totals.failed) == (1, 2)
    first, second, third = (result.error for result in totals.results)
    assert first is not None
    assert first.startswith("renamed is not a topic of ours")
    assert second is None
    assert third is not None
    assert "tickertape-embeddings-rekeyed does not exist" in third
    # They are still open.
    assert [x.place.topic for x, _ in await kafka.box().newest(selection, 9)] == [
        "embeddings-dlq",
        "renamed-dlq",
    ]


async def test_each_step_is_confirmed_before_the_next(kafka: Kafka) -> None:
    for n in range(3):
        kafka.put(died(Record(TEXT, 0, n, b"d%d" % n, value(f"d{n}"), (), 1)), offset=n)
    await kafka.replay()
    records, deltas, marks = kafka.windows
    assert [record.topic for record in records] == [topics.rekeyed(TEXT)] * 3
    assert [record.topic for record in deltas] == [SETTINGS.topic_batch_progress]
    assert [(record.topic, record.key) for record in marks] == [(MARKS, b"text-messages-dlq/0/0-2")]


async def test_a_refused_record_stays_open_and_the_others_go_on(kafka: Kafka) -> None:
    for n in range(3):
        kafka.put(died(Record(TEXT, 0, n, b"d%d" % n, value(f"d{n}"), (), 1)), offset=n)
    kafka.publisher.refuse[b"d1"] = PermanentError("too large")
    totals = await kafka.replay()
    assert (totals.replayed, totals.failed) == (2, 1)
    assert totals.results[1].error == "not replayed: too large"
    assert states(kafka.sent(SETTINGS.topic_batch_progress))["retrying"] == 2
    ((open_, _),) = await kafka.box().newest(ALL, 9)
    assert open_.place.offset == 1


async def test_a_silent_broker_stops_it_and_nothing_is_marked(kafka: Kafka) -> None:
    for n in range(3):
        kafka.put(died(Record(TEXT, 0, n, b"d", value(), (), 1)), offset=n)
    kafka.publisher.refuse[b"d"] = TransientError("away")
    with pytest.raises(BrokerError, match="acknowledges nothing"):
        await kafka.replay()
    assert kafka.publisher.sent == []
    kafka.publisher.refuse = {b"b": TransientError("away")}  # the batch's delta
    with pytest.raises(BrokerError, match="could not be noted"):
        await kafka.replay()
    assert kafka.sent(MARKS) == []
    kafka.publisher.refuse = {}
    assert (await kafka.replay()).replayed == 3


async def test_a_stop_finishes_the_window_and_the_next_run_does_the_rest(kafka: Kafka) -> None:
    count = 450
    for n in range(count):
        kafka.put(died(Record(TEXT, 0, n, b"%d" % n, value(str(n)), (), 1)), offset=n)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(records: Sequence[Outgoing]) -> list[Exception | None]:
        if len(kafka.sent(topics.rekeyed(TEXT))) >= 200 and not begun.is_set():
            begun.set()
            await go_on.wait()
        return await kafka.send(records)

    run = asyncio.create_task(kafka.box(slow).replay(ALL, Plan()))
    await begun.wait()
    run.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    before = len(kafka.sent(topics.rekeyed(TEXT)))
    assert 200 <= before < count
    totals = await kafka.replay()
    assert totals.replayed == count - before
    origins = [as_read(record).origin for record in kafka.sent(topics.rekeyed(TEXT))]
    assert len(origins) == len(set(origins)) == count


async def test_killed_before_the_mark_it_is_replayed_again_as_the_same(kafka: Kafka) -> None:
    kafka.put(died(Record(TEXT, 0, 0, b"d", value(batch_id="b"), (), 1)))

    async def killed(records: Sequence[Outgoing]) -> list[Exception | None]:
        if records[0].topic == MARKS:
            raise Killed
        return await kafka.send(records)

    with pytest.raises(Killed):
        await kafka.box(killed).replay(ALL, Plan())
    await kafka.replay()
    one, two = (as_read(record) for record in kafka.sent(topics.rekeyed(TEXT)))
    assert (one.origin, one.version, one.key, one.value, one.headers) == (
        two.origin,
        two.version,
        two.key,
        two.value,
        two.headers,
    )
    deltas = kafka.sent(SETTINGS.topic_batch_progress)
    done = progress.event(one, "b", "store", ("store",), ItemState.DONE)
    ends = [deltas[0], *progress.outgoing("p", [done]), deltas[1]]
    assert states(ends) == {"retrying": 0, "dead": 0, "done": 1}


async def test_what_was_replayed_is_left_alone_unless_again(kafka: Kafka) -> None:
    place = kafka.put(died(Record(TEXT, 0, 0, b"d", value(), (), 1)))
    assert (await kafka.replay()).replayed == 1
    assert (await kafka.replay()).done == 0
    assert (await kafka.replay(Selection(states=AGAIN))).replayed == 1
    with pytest.raises(InvalidRecord, match="replayed"):
        await kafka.replay(Selection(ids=(place,)))
    assert (await kafka.replay(Selection(ids=(place,), states=AGAIN))).replayed == 1
    with pytest.raises(InvalidRecord, match="id: expected a dead letter that is there"):
        await kafka.replay(Selection(ids=(Place("text-messages-dlq", 0, 5),)))


async def test_a_dry_run_says_the_same_and_sends_nothing(kafka: Kafka) -> None:
    kafka.put(died(Record(TEXT, 0, 0, b"d", value(), (), 1)))
    kafka.put(died(Record("embeddings", 0, 1, b"c", value(), (), 1), "embeddings"), offset=1)
    kafka.letters.existing.remove(topics.rekeyed("embeddings"))
    dry = await kafka.replay(dry_run=True)
    assert kafka.windows == []
    wet = await kafka.replay()
    assert [result.as_json() for result in dry.results] == [
        result.as_json() for result in wet.results
    ]


async def test_a_limit_is_of_letters_looked_at(kafka: Kafka) -> None:
    for n in range(5):
        kafka.put(died(Record(TEXT, 0, n, b"%d" % n, value(str(n)), (), 1)), offset=n)
    kafka.publisher.refuse[b"0"] = PermanentError("no")
    totals = await kafka.replay(limit=3)
    assert (totals.replayed, totals.failed) == (2, 1)
    assert [record.key for record in kafka.sent(topics.rekeyed(TEXT))] == [b"1", b"2"]


async def test_a_rate_bounds_the_window(kafka: Kafka) -> None:
    for n in range(9):
        kafka.put(died(Record(TEXT, 0, n, b"%d" % n, value(str(n)), (), 1)), offset=n)
    await kafka.replay(rate=8.5)
    sizes = [len(w) for w in kafka.windows if w[0].topic == topics.rekeyed(TEXT)]
    assert sizes == [8, 1]
