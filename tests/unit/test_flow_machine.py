"""The delivery runtime as a state machine: every interleaving hypothesis can find.

A log of partitions stands for Kafka, the commits for the group, and the test decides when a
window ends and how. Checked after every step: no offset is committed before its record's outcome
was acknowledged; a key is worked on by one window at a time, in its order. At the end: all is
settled, nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tickertape import headers as h
from tickertape.delivery import settlement
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.offsets import ConsumerOffsets
from tickertape.delivery.outcome import Done, Failed
from tickertape.delivery.routes import routes
from tickertape.delivery.spec import FlowLimits, Spec
from tickertape.errors import InvalidRecord, OutageError, TransientError
from tickertape.record import Outgoing, Record

KEYS = (b"a", b"b", b"c", None)
LIMITS = FlowLimits(
    records_max=6,
    bytes_max=10_000,
    retry_delays_seconds=(1.0, 2.0),
    retry_jitter=0.0,
    group="g",
    progress_topic="batch-progress",
)
KINDS = ("done", "permanent", "transient", "outage")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class DeliveryMachine(RuleBasedStateMachine):
    @initialize()
    def start(self):
        settlement.PUBLISH_RETRY_SECONDS = 0.0
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.log: dict[int, list[Record]] = {0: [], 1: []}
        self.committed = {0: 0, 1: 0}
        self.accounted: dict[tuple[int, int], list[str]] = defaultdict(list)
        self.broker_up = True
        self.boot()

    def boot(self):
        """A new process: nothing is remembered but what was committed."""
        self.windows: list[tuple[list, asyncio.Future]] = []
        self.offsets = ConsumerOffsets()
        self.position = dict(self.committed)
        self.breakers = Breakers(self.clock)
        spec = Spec(
            name="f",
            routes=routes("t", retries=2),
            decode=lambda record: record,
            handle=self.handle,
            dependencies=("store",),
            windows=2,
            window_records=3,
        )
        self.flow = Flow(spec, LIMITS, self.publish, self.breakers)

    async def handle(self, works):
        future = self.loop.create_future()
        window = ([work.record for work in works], future)
        self.windows.append(window)
        try:
            return await future
        finally:
            self.windows.remove(window)

    async def publish(self, outgoing):
        await asyncio.sleep(0)
        if not self.broker_up:
            return [TransientError("broker away")] * len(outgoing)
        for out in outgoing:
            where = h.last(out.headers, "where")
            if where is not None:
                partition, offset = map(int, where.split("/"))
                self.accounted[partition, offset].append(out.topic)
        return [None] * len(outgoing)

    def spin(self, times=12):
        for _ in range(times):
            self.loop.run_until_complete(asyncio.sleep(0))

    @rule(key=st.sampled_from(KEYS))
    def produce(self, key):
        partition = 0 if key in (b"a", None) else 1
        offset = len(self.log[partition])
        where = (("where", f"{partition}/{offset}".encode()),)
        self.log[partition].append(Record("t", partition, offset, key, b"{}", where, 0))

    @rule(partition=st.sampled_from((0, 1)), count=st.integers(1, 5))
    def deliver(self, partition, count):
        for _ in range(count):
            if self.flow.wants_hold or self.position[partition] >= len(self.log[partition]):
                break
            record = self.log[partition][self.position[partition]]
            self.position[partition] += 1
            self.put(record)
        self.spin()

    def put(self, record):
        async def inside():
            self.flow.put([record], self.offsets.of("t", record.partition))

        self.loop.run_until_complete(inside())

    @precondition(lambda self: self.windows)
    @rule(data=st.data())
    def a_window_ends(self, data):
        records, future = data.draw(st.sampled_from(self.windows))
        kinds = [data.draw(st.sampled_from(KINDS)) for _ in records]
        future.set_result([self.outcome(*pair) for pair in zip(records, kinds, strict=True)])
        self.spin()

    @precondition(lambda self: self.windows)
    @rule(data=st.data())
    def a_window_raises(self, data):
        _, future = data.draw(st.sampled_from(self.windows))
        future.set_exception(
            data.draw(
                st.sampled_from(
                    [
                        RuntimeError("bug"),
                        InvalidRecord("x", "y"),
                        OutageError("down", dependency="store"),
                        TransientError("slow", dependency="store"),
                    ]
                )
            )
        )
        self.spin()

    def outcome(self, record, kind):
        if kind == "done":
            where = dict(record.headers)["where"]
            return Done([Outgoing("out", record.key, b"", [("where", where)])])
        if kind == "permanent":
            return Failed(InvalidRecord("x", "y"))
        if kind == "transient":
            return Failed(TransientError("slow"))
        return Failed(OutageError("down", dependency="store"))

    @rule()
    def time_passes(self):
        self.clock.now += 40
        self.loop.run_until_complete(self.ring())
        self.spin()

    async def ring(self):
        self.flow._ring()

    @rule(up=st.booleans())
    def the_broker(self, up):
        self.broker_up = up
        self.spin()

    @rule()
    def commit(self):
        for (_, partition), offset in self.offsets.committables().items():
            self.committed[partition] = max(self.committed[partition], offset)

    @rule()
    def rebalance(self):
        self.loop.run_until_complete(self.flow.drain(0))
        self.commit()
        self.offsets.revoke()
        self.loop.run_until_complete(self.revoke())
        self.position = dict(self.committed)
        self.spin()

    async def revoke(self):
        self.flow.revoke()

    @rule()
    def kill(self):
        """kill -9: no drain, no commit; the old process's tasks never come to an end."""
        self.loop.run_until_complete(self.flow.drain(0))
        self.boot()

    @invariant()
    def nothing_is_committed_before_its_outcome(self):
        if not hasattr(self, "loop"):
            return
        for (_, partition), offset in self.offsets.committables().items():
            for passed in range(max(offset, self.committed[partition])):
                assert self.accounted[partition, passed], f"{partition}/{passed} was lost"

    @invariant()
    def one_window_a_key_in_its_order(self):
        if not hasattr(self, "loop"):
            return
        at_work = [r for records, _ in self.windows for r in records if r.key is not None]
        assert len({r.key for r in at_work}) == len(at_work)

    @invariant()
    def what_is_in_flight_is_bounded_and_counted(self):
        if not hasattr(self, "loop"):
            return
        delivered = sum(offsets.in_flight for offsets in self.offsets._partitions.values())
        assert self.flow.records_in_flight == delivered
        assert self.flow.records_in_flight <= LIMITS.records_max + 1

    def teardown(self):
        if not hasattr(self, "loop"):
            return
        self.broker_up = True
        for _ in range(400):
            for partition in self.log:
                self.deliver(partition, 5)
            for records, future in list(self.windows):
                if not future.done():
                    future.set_result([self.outcome(record, "done") for record in records])
            self.time_passes()
            self.commit()
            if all(self.committed[p] == len(log) for p, log in self.log.items()):
                break
        for partition, log in self.log.items():
            assert self.committed[partition] == len(log), "the flow came to a stop"
            for offset in range(len(log)):
                assert self.accounted[partition, offset], "a record was lost"
        assert self.flow.records_in_flight == 0
        self.loop.run_until_complete(self.flow.drain(0))
        self.loop.close()


DeliveryMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestDelivery = DeliveryMachine.TestCase
