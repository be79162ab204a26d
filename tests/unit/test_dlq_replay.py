"""Replays: what a dead letter becomes."""

from __future__ import annotations

import json

import pytest

from tests.dlq_parts import (
    SETTINGS,
    TEXT,
    Kafka,
    as_read,
    died,
    states,
    value,
)
from tickertape import headers as h
from tickertape import topics
from tickertape.decode import parse
from tickertape.delivery import progress
from tickertape.delivery.copies import retry
from tickertape.delivery.outcome import State
from tickertape.dlq import edit
from tickertape.dlq.box import Selection
from tickertape.dlq.marks import AGAIN, LetterState
from tickertape.errors import (
    TransientError,
)
from tickertape.record import Outgoing, Record
from tickertape.versions import Origin, Stamp, Version


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


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
    assert read.version == Version((), Stamp(1234, 17, 2, TEXT))
    assert (read.header(h.REPLAYS), read.header(h.REKEYED)) == ("1", "1")
    assert read.header(h.EDITED) is None
    assert read.header(h.RETRY_FIRST) == "1234"
    assert len(names) == len(theirs) + 6  # origin, version, batch, replays, rekeyed, first


async def test_a_replay_is_counted_on_and_its_batch_is_open_again(kafka: Kafka) -> None:
    record = Record(TEXT, 2, 17, b"d", value(batch_id="b"), (), 1234)
    told = [
        progress.event(record, "b", "store", ("store",), State.DEAD),
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
    event = progress.event(again, "b", "store", ("store",), State.DEAD)
    (died_again,) = progress.outgoing("p", [event])
    assert states([was_dead, died_again, delta]) == {"retrying": 0, "dead": 1, "done": 0}
    kafka.put(died(again), offset=1)
    await kafka.replay()
    second = kafka.sent(SETTINGS.topic_batch_progress)[1]
    deltas = [was_dead, delta, died_again, second]
    assert states(deltas) == {"retrying": 1, "dead": 0, "done": 0}
    last = as_read(kafka.sent(topics.rekeyed(TEXT))[1])
    assert last.header(h.REPLAYS) == "2"
    done = progress.event(last, "b", "store", ("store",), State.DONE)
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
    assert read.version == Version((), Stamp(7000, 3, read.partition, read.topic))
    assert read.header(h.EDITED) == "1"
    assert read.header(h.EDITED_FROM) == str(place)
    assert kafka.letters.letters[0].value == record.value
    # It dies once more: the next replay is the same version, and says where the edit came from.
    kafka.put(died(read), offset=1)
    await kafka.replay()
    again = as_read(kafka.sent(topics.rekeyed(TEXT))[1], offset=9)
    assert again.version == read.version
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
        assert as_read(out).version == Version((), Stamp(1234, 17, 2, TEXT))
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
    assert found[1] is LetterState.PARKED
    # It is not looked at, but from the parking topic it can be replayed by its name.
    assert (await kafka.replay(Selection(topics=(place.topic,)))).done == 0
    assert LetterState.PARKED not in AGAIN
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
        ((topic, partition, told_stage, told_stages, state, replays, offsets),) = items
        assert (topic, partition, offsets) == (base, 0, [[5, 6]])
        assert (told_stage, len(told_stages), state, replays) == (part, parts, "retrying", 1)


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
