"""The delivery runtime, one rule at a time. `test_flow_machine` has the interleavings."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from dataclasses import replace

import orjson
import pytest

from tickertape import headers as h
from tickertape import metrics
from tickertape.delivery.breaker import FAILURES_TO_OPEN, Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.gate import Gate
from tickertape.delivery.offsets import ConsumerOffsets
from tickertape.delivery.outcome import Done, Failed, State
from tickertape.delivery.routes import internal, routes
from tickertape.delivery.spec import FlowLimits, Spec
from tickertape.errors import (
    InvalidRecord,
    OutageError,
    PermanentError,
    Timeout,
    TooLarge,
    TransientError,
)
from tickertape.ranges import Ranges
from tickertape.record import LARGE_BYTES, Outgoing, Record


class Harness:
    """A flow, what it published, and a handler that a test may replace."""

    def __init__(self, *, keyed_routes=None, gate=None, **spec):
        self.sent: list[Outgoing] = []
        self.refuse = {}
        self.windows = []
        self.offsets = ConsumerOffsets()
        self.handler = lambda works: [Done()] * len(works)
        spec = Spec(
            name="f",
            routes=keyed_routes or routes("t", retries=2, rekeys=True),
            decode=spec.pop("decode", lambda record: orjson.loads(record.value)),
            handle=self.handle,
            stage="store",
            batch_of=lambda item: item.get("batch_id"),
            id_of=lambda item: item.get("id"),
            **spec,
        )
        limits = FlowLimits(100, 10_000, (1.0, 2.0), 0.0, "group", "batch-progress")
        self.now: float | None = None
        self.flow = Flow(spec, limits, self.publish, Breakers(self.clock), gate)

    def clock(self):
        return time.monotonic() if self.now is None else self.now

    async def handle(self, works):
        self.windows.append([work.item for work in works])
        found = self.handler(works)
        return await found if asyncio.iscoroutine(found) else found

    async def publish(self, records):
        self.sent += records
        return [self.refuse.get(record.topic) for record in records]

    def put(self, offset, value, key=b"k", topic="t", headers=(), trusted=False):
        data = value if isinstance(value, bytes) else orjson.dumps(value)
        record = Record(topic, 0, offset, key, data, headers, 1000, trusted)
        self.flow.put([record], self.offsets.of(topic, 0))
        return record

    async def quiet(self):
        for _ in range(200):
            await asyncio.sleep(0)
            if not self.flow.records_in_flight:
                return

    def to(self, topic):
        return [record for record in self.sent if record.topic == topic]

    def progress(self):
        found = []
        for record in self.to("batch-progress"):
            value = orjson.loads(record.value)
            found += [(value["batch_id"], e[4], e[5], e[6]) for e in value["items"]]
        return found


class Large(str):
    """A text that can be watched."""

    __slots__ = ("__weakref__",)


async def test_a_refused_text_is_not_kept_until_the_garbage_collector_comes():
    seen = []

    def decode(record):
        text = Large("x")
        seen.append(weakref.ref(text))
        try:
            raise InvalidRecord("text", "a shorter one")
        except InvalidRecord as error:
            kept = error  # a cycle: the error, its traceback, this frame
            raise kept from ValueError("too long")

    harness = Harness(decode=decode)
    harness.put(0, {})
    gc.disable()
    try:
        await harness.quiet()
        assert len(harness.to("t-dlq")) == 1
        assert seen[0]() is None
    finally:
        gc.enable()


async def test_a_record_is_settled_after_all_that_follows_from_it_is_acknowledged():
    harness = Harness()
    harness.handler = lambda works: [Done([Outgoing("out", b"k", b"v")]) for _ in works]
    harness.put(0, {"id": "k", "batch_id": "b"})
    assert harness.offsets.committable("t", 0) == 0
    await harness.quiet()
    assert [record.topic for record in harness.sent] == ["out", "batch-progress"]
    assert harness.progress() == [("b", "done", 0, [[0, 1]])]
    assert harness.offsets.committable("t", 0) == 1


async def test_what_cannot_be_decoded_is_a_dead_letter_with_its_bytes_and_its_batch():
    def decode(record):
        raise InvalidRecord("text", "a string", 3)

    harness = Harness(decode=decode)
    headers = (("mine", b"1"), ("mine", b"2"))
    record = harness.put(7, {"text": 3, "batch_id": "b"}, headers=headers)
    await harness.quiet()
    (letter,) = harness.to("t-dlq")
    assert (letter.key, letter.value) == (record.key, record.value)
    assert [v for k, v in letter.headers if k == "mine"] == [b"1", b"2"]
    assert h.last(letter.headers, h.DLT_MESSAGE) == "text: expected a string, got 3"
    assert h.last(letter.headers, h.DLT_TOPIC) == "t"
    assert h.last(letter.headers, h.DLT_OFFSET) == "7"
    assert h.last(letter.headers, h.ERROR_CLASS) == "permanent"
    assert harness.progress() == [("b", "dead", 0, [[7, 8]])]
    assert not harness.windows


async def test_a_key_that_is_not_the_id_goes_once_through_the_internal_topic():
    harness = Harness()
    record = harness.put(3, {"id": "doc"}, key=None)
    await harness.quiet()
    (moved,) = harness.to("tickertape-t-rekeyed")
    assert (moved.key, moved.value) == (b"doc", record.value)
    assert h.read_origin(moved.headers) == record.origin
    assert h.read_stamp(moved.headers) == record.stamp
    assert not harness.windows
    harness.put(
        0, {"id": "doc"}, b"other", "tickertape-t-rekeyed", tuple(moved.headers), trusted=True
    )
    await harness.quiet()
    assert len(harness.to("tickertape-t-rekeyed")) == 1, "never twice"
    assert harness.windows == [[{"id": "doc"}]]


async def test_a_transient_failure_climbs_the_levels_and_dies_after_the_last():
    harness = Harness()
    harness.handler = lambda works: [Failed(TransientError("slow"))] * len(works)
    harness.put(0, {"id": "k", "batch_id": "b"})
    await harness.quiet()
    (first,) = harness.to("t-retry-0")
    assert h.last(first.headers, h.RETRY_ATTEMPTS) == "1"
    harness.put(0, first.value, b"k", "t-retry-0", tuple(first.headers), trusted=True)
    await harness.quiet()
    (second,) = harness.to("t-retry-1")
    assert h.last(second.headers, h.RETRY_ATTEMPTS) == "2"
    assert h.last(second.headers, h.RETRY_FIRST) == h.last(first.headers, h.RETRY_FIRST)
    harness.put(0, second.value, b"k", "t-retry-1", tuple(second.headers), trusted=True)
    await harness.quiet()
    (letter,) = harness.to("t-dlq")
    assert h.last(letter.headers, h.DLT_OFFSET) == "0"
    assert h.last(letter.headers, h.RETRY_ATTEMPTS) == "2"
    assert h.last(letter.headers, h.RETRY_DUE) is None
    assert [state for _, state, _, _ in harness.progress()] == ["retrying", "retrying", "dead"]
    assert {ranges[0][0] for *_, ranges in harness.progress()} == {0}, "one item of the batch"


async def test_forged_headers_of_a_users_topic_are_not_believed():
    forged = (
        (h.RETRY_ATTEMPTS, b"99"),
        (h.ORIGIN, b"other/1/2"),
        (h.VERSION, b"999999999999999.1"),
        (h.REPLAYS, b"5"),
    )
    harness = Harness()
    harness.handler = lambda works: [Failed(TransientError("slow"))] * len(works)
    record = harness.put(4, {"id": "k", "batch_id": "b"}, headers=forged)
    await harness.quiet()
    (copy,) = harness.to("t-retry-0")
    assert h.read_origin(copy.headers) == record.origin
    assert record.origin.topic == "t"
    assert h.read_stamp(copy.headers).ms == 1000
    assert harness.progress() == [("b", "retrying", 0, [[4, 5]])]


async def test_one_poison_record_costs_only_itself():
    harness = Harness()

    def handler(works):
        if any(work.item["id"] == "5" for work in works):
            raise ValueError("poison")
        return [Done()] * len(works)

    harness.handler = handler
    for n in range(10):
        harness.put(n, {"id": str(n)}, str(n).encode())
    await harness.quiet()
    assert len(harness.to("t-retry-0")) == 1
    assert harness.offsets.committable("t", 0) == 10
    assert harness.flow.counters.processed == 10


async def test_an_outage_holds_the_flow_and_spends_no_attempt():
    harness = Harness(dependencies=("llm",))
    down = True

    def handler(works):
        if down:
            raise OutageError("503", dependency="llm", retry_after=0.01)
        return [Done()] * len(works)

    harness.handler = handler
    for n in range(3):
        harness.put(n, {"id": str(n)}, str(n).encode())
    await asyncio.sleep(0.05)
    assert harness.flow.wants_hold
    assert harness.flow.reason == "llm: 503"
    assert not harness.sent
    assert harness.flow.records_in_flight == 3
    down = False
    await asyncio.sleep(0.2)
    await harness.quiet()
    assert not harness.flow.wants_hold
    assert harness.offsets.committable("t", 0) == 3
    assert not harness.to("t-retry-0")


async def test_a_broker_that_is_away_is_waited_for():
    harness = Harness()
    harness.refuse["out"] = TransientError("away")
    harness.handler = lambda works: [Done([Outgoing("out", b"k", b"v")]) for _ in works]
    harness.put(0, {"id": "k"})
    await asyncio.sleep(0.05)
    assert harness.offsets.committable("t", 0) == 0
    harness.refuse.clear()
    await asyncio.sleep(0.6)
    assert harness.offsets.committable("t", 0) == 1


async def test_an_output_the_broker_never_takes_makes_the_record_dead():
    harness = Harness()
    harness.refuse["out"] = TooLarge("17 MB")
    harness.handler = lambda works: [Done([Outgoing("out", b"k", b"v")]) for _ in works]
    harness.put(0, {"id": "k", "batch_id": "b"})
    await harness.quiet()
    assert len(harness.to("t-dlq")) == 1
    assert harness.progress() == [("b", State.DEAD.value, 0, [[0, 1]])]
    assert harness.offsets.committable("t", 0) == 1


async def test_a_record_whose_dead_letter_is_refused_stays_where_it_is_and_says_so():
    harness = Harness()
    harness.now = 0.0
    harness.refuse["t-dlq"] = TooLarge("over the topic's limit")
    harness.handler = lambda works: [Failed(PermanentError("bad"))] * len(works)
    harness.put(0, {"id": "k"})
    for _ in range(50):
        await asyncio.sleep(0)
    assert harness.flow.records_in_flight == 1
    assert harness.offsets.committable("t", 0) == 0
    assert harness.flow.wants_hold
    assert "t-dlq refuses every form of a dead letter" in harness.flow.reason
    assert len(harness.windows) == 1  # no loop: it waits for the breaker
    harness.refuse.clear()
    harness.now = 2.0
    harness.flow.resume()
    await harness.quiet()
    assert harness.offsets.committable("t", 0) == 1
    assert not harness.flow.wants_hold


async def test_of_a_letter_that_is_over_the_limit_ever_less_is_kept():
    harness = Harness(keyed_routes=routes("t"))
    harness.handler = lambda works: [Failed(PermanentError("bad"))] * len(works)
    limits = iter([True, True, False])  # the letter, what remains of it, its trace

    async def publish(records):
        harness.sent += records
        return [
            TooLarge("too large") if record.topic == "t-dlq" and next(limits) else None
            for record in records
        ]

    harness.flow._settlement._publish = publish
    harness.put(0, {"id": "k"}, key=b"k" * 5000)
    await harness.quiet()
    letters = harness.to("t-dlq")
    assert [len(letter.key) for letter in letters] == [5000, 5000, 64]
    assert [bool(letter.value) for letter in letters] == [True, False, False]
    assert (h.DLT_OFFSET, b"0") in letters[-1].headers
    assert harness.offsets.committable("t", 0) == 1


async def test_a_topic_that_may_not_be_written_holds_the_flow_and_no_attempt_is_spent():
    harness = Harness()
    harness.now = 0.0
    harness.refuse["out"] = OutageError("out: not authorised", dependency="kafka:out")
    harness.handler = lambda works: [Done([Outgoing("out", b"k", b"v")])] * len(works)
    harness.put(0, {"id": "k", "batch_id": "b"})
    for _ in range(50):
        await asyncio.sleep(0)
    assert (harness.flow.records_in_flight, len(harness.windows)) == (1, 1)
    assert harness.flow.reason == "kafka:out: out: not authorised"
    assert not harness.to("t-retry-0")
    assert not harness.progress()
    harness.refuse.clear()
    harness.now = 2.0
    harness.flow.resume()
    await harness.quiet()
    assert harness.offsets.committable("t", 0) == 1
    assert not harness.flow.wants_hold


async def test_an_outage_while_a_record_is_decoded_holds_it():
    down = [True]

    def decode(record):
        if down[0]:
            raise OutageError("the registry is down", dependency="registry")
        return orjson.loads(record.value)

    harness = Harness(decode=decode)
    harness.now = 0.0
    harness.put(0, {"id": "k"})
    for _ in range(50):
        await asyncio.sleep(0)
    assert harness.sent == []
    assert harness.flow.records_in_flight == 1
    assert harness.flow.reason == "registry: the registry is down"
    down[0] = False
    harness.now = 2.0
    harness.flow.resume()
    await harness.quiet()
    assert harness.offsets.committable("t", 0) == 1
    assert harness.windows == [[{"id": "k"}]]


async def test_progress_that_is_refused_is_told_item_by_item():
    harness = Harness()
    first = Ranges.of([0]).to_json()

    async def publish(records):
        found = []
        for record in records:
            items = orjson.loads(record.value)["items"] if record.topic == "batch-progress" else []
            bad = any(item[6] != first for item in items)  # all but offset 0 alone
            harness.sent += [] if bad else [record]
            found.append(TooLarge("too large") if bad else None)
        return found

    harness.flow._settlement._publish = publish
    before = metrics.progress_refused._value.get()
    for offset in range(2):
        harness.put(offset, {"id": f"k{offset}", "batch_id": "b"}, key=b"k%d" % offset)
    await harness.quiet()
    assert harness.offsets.committable("t", 0) == 2
    assert [items for _, *items in harness.progress()] == [["done", 0, first]]
    assert metrics.progress_refused._value.get() == before + 1


async def test_what_is_not_for_a_flow_is_over_without_its_agent():
    harness = Harness(passes=lambda record: record.own)
    for offset, headers in enumerate((((h.OWN, b"1"),), (), ((h.OWN, b"1"),))):
        harness.put(offset, {"id": f"{offset}"}, key=b"%d" % offset, headers=headers)
    await harness.quiet()
    assert harness.windows == [[{"id": "1"}]]
    assert harness.offsets.committable("t", 0) == 3


async def test_a_drain_is_bounded_and_what_was_cancelled_is_not_settled():
    harness = Harness()

    async def stuck(works):
        await asyncio.Event().wait()

    harness.handler = stuck
    harness.put(0, {"id": "k"})
    await asyncio.sleep(0)
    await harness.flow.drain(0.01)
    assert harness.offsets.committable("t", 0) == 0
    assert harness.flow.wants_hold, "a consumer of our own must not hand over now"
    harness.offsets.revoke()
    harness.flow.revoke()
    assert harness.flow.records_in_flight == 0
    assert not harness.flow.wants_hold


async def test_records_of_other_consumers_survive_a_revoke():
    harness = Harness()
    other = ConsumerOffsets()

    async def stuck(works):
        await asyncio.Event().wait()

    harness.handler = stuck
    record = Record("t-retry-0", 0, 9, b"x", b'{"id":"x"}', (), 0, True)
    harness.flow.put([record], other.of("t-retry-0", 0))
    harness.put(0, {"id": "k"})
    await asyncio.sleep(0)
    await harness.flow.drain(0.01)
    harness.offsets.revoke()
    harness.handler = lambda works: [Done()] * len(works)
    harness.flow.revoke()
    await harness.quiet()
    assert other.committable("t-retry-0", 0) == 10


@pytest.mark.parametrize("count", [0, 2])
async def test_a_handler_that_answers_for_another_number_is_a_failure(count):
    harness = Harness()
    harness.handler = lambda works: [Done()] * count
    harness.put(0, {"id": "k"})
    await harness.quiet()
    assert len(harness.to("t-retry-0")) == 1


async def test_internal_routes_believe_their_headers():
    harness = Harness(keyed_routes=internal("t", retries=2))
    headers = ((h.ORIGIN, b"first/3/44"), (h.VERSION, b"12.44"), (h.REPLAYS, b"2"))
    harness.put(0, {"id": "k", "batch_id": "b"}, headers=headers, trusted=True)
    await harness.quiet()
    assert harness.progress() == [("b", "done", 2, [[44, 45]])]


async def pass_by(flow, seconds):
    """The breakers' clocks go on."""
    now = time.monotonic() + seconds
    for breaker in flow._breakers.all():
        breaker._clock = lambda: now
    await asyncio.sleep(0)


async def test_a_breaker_that_is_open_with_nothing_to_probe_lets_records_in():
    harness = Harness(dependencies=("llm",))
    harness.handler = lambda works: [Failed(Timeout("slow", dependency="llm"))] * len(works)
    for offset in range(FAILURES_TO_OPEN):
        harness.put(offset, {"id": f"{offset}"}, key=b"%d" % offset)
        await harness.quiet()
    assert not harness.flow.records_in_flight, "all went to a retry topic"
    assert harness.flow.wants_hold
    await pass_by(harness.flow, 60)
    assert not harness.flow.wants_hold
    harness.handler = lambda works: [Done()] * len(works)
    harness.put(99, {"id": "probe"}, key=b"probe")
    await harness.quiet()
    assert not harness.flow._breakers["llm"].is_open


async def test_a_rebalance_in_an_outage_does_not_hold_the_flow_for_ever():
    harness = Harness(dependencies=("llm",))
    harness.handler = lambda works: [Failed(OutageError("down", dependency="llm"))] * len(works)
    harness.put(0, {"id": "k"})
    await asyncio.sleep(0.01)
    await harness.flow.drain(1.0)
    harness.offsets.revoke()
    harness.flow.revoke()
    assert harness.flow.wants_hold
    await pass_by(harness.flow, 60)
    assert not harness.flow.wants_hold


async def test_a_probe_that_another_dependency_forbids_is_not_taken():
    harness = Harness(dependencies=("a", "b"))
    a, b = harness.flow._breakers["a"], harness.flow._breakers["b"]
    a.open("down", 0.0)
    b.open("down", 60.0)
    harness.put(0, {"id": "k"})
    await asyncio.sleep(0.01)
    assert a.admit(), "nobody holds the probe of a"
    assert not harness.windows


async def test_small_records_do_not_wait_for_large_ones_that_came_before():
    gates = {"large": asyncio.Event(), "small": asyncio.Event()}
    done = []

    async def handle(works):
        kinds = {work.item["kind"] for work in works}
        assert len(kinds) == 1  # a window has one kind
        (kind,) = kinds
        await gates[kind].wait()
        done.extend(work.item["n"] for work in works)
        return [Done()] * len(works)

    harness = Harness(window_records=2)
    harness.flow._limits = replace(harness.flow._limits, bytes_max=2**30)
    harness.handler = handle
    for n in range(6):
        text = "x" * LARGE_BYTES
        harness.put(n, {"kind": "large", "n": n, "text": text}, key=b"%d" % n)
    for n in range(6, 10):
        harness.put(n, {"kind": "small", "n": n}, key=b"%d" % n)
    gates["small"].set()
    for _ in range(100):
        await asyncio.sleep(0)
    assert sorted(done) == [6, 7, 8, 9]
    assert len([w for w in harness.windows if w[0]["kind"] == "large"]) == 2  # and no more of them
    gates["large"].set()
    await harness.quiet()
    assert sorted(done) == list(range(10))


async def test_a_flow_of_one_window_keeps_the_order_of_small_and_large():
    harness = Harness(keyed=False, windows=1, window_records=1)
    harness.flow._limits = replace(harness.flow._limits, bytes_max=2**30)
    for n in range(6):
        harness.put(n, {"n": n, "text": "x" * (LARGE_BYTES * (n % 2))})
    await harness.quiet()
    assert [window[0]["n"] for window in harness.windows] == list(range(6))


async def test_flows_that_write_the_same_documents_take_turns():
    """Stored first, published last: the older result would stand behind the newer one."""
    gate, order = Gate(), []
    may_end = asyncio.Event()

    async def slow(works):
        order.append("first stored")
        await may_end.wait()
        return [Done([Outgoing("out", b"k", b"first")])] * len(works)

    def fast(works):
        order.extend(f"second stored {work.item['id']}" for work in works)
        return [Done([Outgoing("out", b"k", b"second")])] * len(works)

    first, second = (Harness(gate=gate, share_keys=True) for _ in range(2))
    first.handler, second.handler = slow, fast
    first.put(1, {"id": "k"})
    await asyncio.sleep(0)
    second.put(1, {"id": "k"})
    second.put(2, {"id": "other"}, key=b"other")
    for _ in range(20):
        await asyncio.sleep(0)
    assert order == ["first stored", "second stored other"], "others are not kept waiting"
    may_end.set()
    await first.quiet()
    await second.quiet()
    assert order[2:] == ["second stored k"]
    assert second.flow.records_in_flight == 0


async def test_a_flow_of_its_own_waits_for_nobody():
    gate = Gate()
    gate.enter([b"k"])
    harness = Harness(gate=gate)
    harness.put(1, {"id": "k"})
    await harness.quiet()
    assert harness.flow.records_in_flight == 0


async def test_what_waits_for_another_flow_can_be_revoked():
    gate = Gate()
    gate.enter([b"k"])
    harness = Harness(gate=gate, share_keys=True)
    harness.put(1, {"id": "k"})
    await asyncio.sleep(0)
    harness.offsets.revoke()
    harness.flow.revoke()
    assert harness.flow.records_in_flight == 0
    gate.leave([b"k"])
    assert not harness.windows


async def test_each_result_that_the_broker_refuses_to_have_told_again_is_counted():
    async def overtaken(_done):
        return [Outgoing("again", b"k", b"1"), Outgoing("again", b"k", b"2")]

    harness = Harness(overtaken=overtaken)
    harness.refuse["again"] = PermanentError("too large")
    before = metrics.not_told_again._value.get()
    harness.put(0, {"id": "k"})
    await harness.quiet()
    assert metrics.not_told_again._value.get() == before + 2
    assert harness.offsets.committable("t", 0) == 1


async def test_what_is_told_again_may_be_late_itself_and_is_looked_at_likewise():
    newest = iter([b"2", b"3", b"3"])

    async def overtaken(_done):
        return [Outgoing("again", b"k", next(newest))]

    harness = Harness(overtaken=overtaken)
    harness.put(0, {"id": "k"})
    await harness.quiet()
    assert [record.value for record in harness.to("again")] == [b"2", b"3"]
    assert harness.offsets.committable("t", 0) == 1


@pytest.mark.parametrize("kind", [OutageError, TransientError])
async def test_a_record_that_was_told_and_could_not_be_looked_at_says_so_when_it_is_tried_again(
    kind,
):
    tried = []
    down = True

    async def overtaken(done):
        tried.extend(work.tried for work, _ in done)
        if down:
            raise kind("cannot be read", dependency="kafka")
        return []

    harness = Harness(overtaken=overtaken)
    harness.now = 0.0
    harness.put(0, {"id": "k"})
    for _ in range(50):
        await asyncio.sleep(0)
    assert harness.flow.reason == "kafka: cannot be read"
    assert (tried, harness.offsets.committable("t", 0)) == ([False], 0)
    down = False
    harness.now = 2.0
    harness.flow.resume()
    await harness.quiet()
    assert (tried, harness.offsets.committable("t", 0)) == ([False, True], 1)


async def test_so_does_one_of_which_only_a_part_was_told():
    seen = []

    def handler(works):
        seen.extend(work.tried for work in works)
        return [Done([Outgoing("embeddings", b"k", b"v")]) for _ in works]

    harness = Harness()
    harness.now = 0.0
    harness.handler = handler
    harness.refuse["batch-progress"] = OutageError("no", dependency="kafka:batch-progress")
    harness.put(0, {"id": "k", "batch_id": "b"})
    for _ in range(50):
        await asyncio.sleep(0)
    assert harness.to("embeddings")
    harness.refuse.clear()
    harness.now = 2.0
    harness.flow.resume()
    await harness.quiet()
    assert seen == [False, True]
