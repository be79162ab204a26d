"""Replays: what is confirmed before what, and what a stop leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.dlq_parts import (
    ALL,
    MARKS,
    SETTINGS,
    TEXT,
    Kafka,
    as_read,
    died,
    states,
    value,
)
from tickertape import metrics, topics
from tickertape.delivery import progress
from tickertape.delivery.outcome import State
from tickertape.dlq.box import Selection
from tickertape.dlq.letter import Place
from tickertape.dlq.marks import AGAIN
from tickertape.dlq.replay import Plan
from tickertape.errors import (
    BrokerError,
    InvalidRecord,
    PermanentError,
    TransientError,
)
from tickertape.record import Outgoing, Record


class Killed(BaseException):
    """Nothing handles it."""


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


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
    before = metrics.replayed.labels(TEXT)._value.get()
    totals = await kafka.replay()
    assert (totals.replayed, totals.failed) == (2, 1)
    assert metrics.replayed.labels(TEXT)._value.get() == before + 2
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
    done = progress.event(one, "b", "store", ("store",), State.DONE)
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
