"""The delivery runtime of one flow: records in, confirmed outcomes out.

An agent is a plain async function from works to outcomes. Everything else is here, so that an
agent's author cannot forget it:

- records of one key are worked on in their order (`KeyOrder`);
- a window that raises is halved until the bad record stands alone;
- outputs, retry copies, dead letters and progress are confirmed by the broker before the
  record is settled, and only over settled records an offset moves (`PartitionOffsets`);
- an outage holds the flow: records stay, attempts are not spent, one probe goes at a time;
- over its bounds in records or bytes the flow asks for its topics to be held;
- revoke and shutdown wait a bounded time, then cancel; what was cancelled is delivered again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import structlog

from tickertape import headers as h
from tickertape import metrics
from tickertape.decode import peek
from tickertape.delivery import copies
from tickertape.delivery.breaker import Breaker, Breakers
from tickertape.delivery.gate import Gate
from tickertape.delivery.keyorder import KeyOrder
from tickertape.delivery.offsets import PartitionOffsets
from tickertape.delivery.outcome import Done, Failed, Outcome, Work
from tickertape.delivery.settlement import PRODUCING, Decided, InFlight, Settlement
from tickertape.delivery.spec import FlowLimits, Publish, Spec
from tickertape.delivery.status import Counters
from tickertape.errors import ErrorClass, OutageError, TransientError, classify
from tickertape.record import Record

T = TypeVar("T")

WINDOW_BYTES_MAX = 2**18  # more would be done late
CRASH_SECONDS = 1.0

log = structlog.get_logger("tickertape.flow")


class Flow(Generic[T]):
    """One flow of a worker. Not thread-safe: everything runs on the event loop."""

    def __init__(
        self,
        spec: Spec[T],
        limits: FlowLimits,
        publish: Publish,
        breakers: Breakers,
        gate: Gate | None = None,
    ) -> None:
        """``gate``: the worker's, which flows that ``share_keys`` go through."""
        self.spec = spec
        self.counters = Counters()
        self.paused = False
        self._limits = limits
        self._breakers = breakers
        self._gate = gate if gate is not None and spec.share_keys else Gate()
        self._dependencies = set(spec.dependencies)  # and whatever else an error names
        self._queue: KeyOrder[InFlight] = KeyOrder(
            _key if spec.keyed else _no_key,
            lambda entry: entry.record.size,
            lambda entry: spec.windows > 1 and entry.record.large,
        )
        self._settlement = Settlement(spec, limits, publish, self.counters)
        self._tasks: dict[asyncio.Task[None], bool] = {}  # each window: is it of large records
        self._records = 0
        self._bytes = 0
        self._full = False
        self._accepting = True
        self._timer: asyncio.TimerHandle | None = None

    # What the worker calls

    def put(self, records: Iterable[Record], offsets: PartitionOffsets) -> int:
        """Take records of one partition over, in their order; return how many are for the flow."""
        before = self._records
        if not self._accepting:
            return 0
        for record in records:
            if not offsets.deliver(record.offset):
                continue
            if self.spec.passes(record):
                offsets.settle(record.offset)
                continue
            self._queue.put(InFlight(record, offsets))
            self._records += 1
            self._bytes += record.size
        taken = self._records - before
        self._wake()
        return taken

    @property
    def wants_hold(self) -> bool:
        """True while the flow's topics must not be fetched: paused, held, over its bounds, or
        giving back. What `put` is handed meanwhile by a consumer of our own would be lost to it.
        """
        if self._records >= self._limits.records_max or self._bytes >= self._limits.bytes_max:
            self._full = True
        elif self._records <= self._limits.records_max * 3 // 4 and (
            self._bytes <= self._limits.bytes_max * 3 // 4
        ):  # early: the next fetch takes a tenth of a second, in which a fast flow does 1,000
            self._full = False
        held = self.paused or self._full or not self._accepting
        return held or self._waits_for_a_dependency

    @property
    def _waits_for_a_dependency(self) -> bool:
        """An empty flow with a probe due lets records in: nothing else would close the breaker."""
        opened = self._breakers.opened(self._dependencies)
        return any(self._records or breaker.wait_seconds for breaker in opened)

    @property
    def reason(self) -> str:
        """Why the flow is held, else an empty string."""
        opened = self._breakers.opened(self._dependencies)
        if opened:
            return f"{opened[0].name}: {opened[0].reason}"
        if self.paused:
            return "paused by an operator"
        if self._full:
            return "its bound of records or bytes in flight is reached"
        return "" if self._accepting else "partitions are being given back"

    @property
    def busy(self) -> bool:
        """True while a window runs."""
        return bool(self._tasks)

    @property
    def records_in_flight(self) -> int:
        """Records taken over and not settled."""
        return self._records

    @property
    def bytes_in_flight(self) -> int:
        """Bytes of those."""
        return self._bytes

    def pause(self) -> None:
        """Start no more windows."""
        self.paused = True

    def resume(self) -> None:
        """Go on."""
        self.paused = False
        self._wake()

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound, then cancel
        """Take nothing more, wait at most ``timeout`` seconds for running windows, cancel the rest.

        What was not settled is not lost: its offset does not move. Call `revoke` next.
        """
        self._accepting = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._tasks and not self.spec.resumes:
            await asyncio.wait(self._tasks, timeout=timeout)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    def revoke(self, resume: bool = True) -> None:
        """Forget the records of revoked partitions; go on with the others, or (at shutdown)
        stay as `drain` left it."""
        for entry in self._queue.drop(lambda entry: entry.offsets.revoked):
            self._forget(entry)
        self._accepting = resume
        self._wake()

    # Windows

    def _wake(self, waited: bool = False) -> None:
        """Start windows while there is room and work."""
        wait = 0.0 if waited else self._limits.wait_seconds
        while self._accepting and not self.paused and (large := self._next()) is not None:
            short = self._queue.ready(large) < self.spec.window_records
            if wait and not self._tasks and short and not large:
                self._later(wait)
                return
            if not self._start(large):
                return

    def _next(self) -> bool | None:
        """Say which window may start: one of large records (True), of small ones, or none. The
        kind of which fewer run is first."""
        running = list(self._tasks.values())
        kinds = [
            large
            for large in (False, True)
            if self._queue.ready(large) and running.count(large) < self.spec.windows
        ]
        return min(kinds, key=running.count, default=None)

    def _later(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._wake(waited=True)

    def _start(self, large: bool) -> bool:
        """Start one window, of small or of large records; False when a breaker does not admit it
        (a timer tries again), or other flows have the documents of all that is ready."""
        opened = self._breakers.opened(self._dependencies)
        for place, breaker in enumerate(opened):
            if not breaker.admit():
                for admitted in opened[:place]:
                    admitted.abandon()
                self._later(max(breaker.wait_seconds, 0.05))
                return False
        count = 1 if opened else self.spec.window_records
        entries = self._take(count, large)
        if not entries:
            for admitted in opened:
                admitted.abandon()
            return False
        task = asyncio.get_running_loop().create_task(self._window(entries, opened))
        self._tasks[task] = large
        task.add_done_callback(self._ended)
        return True

    def _take(self, count: int, large: bool) -> list[InFlight]:
        """Take what no other flow has in work; the rest stays at the front."""
        found = self._queue.take(count, WINDOW_BYTES_MAX, large)
        entries = [entry for entry in found if self._gate.is_open(_key(entry))]
        if len(entries) < len(found):
            self._queue.put_back([e for e in found if not self._gate.is_open(_key(e))])
            self._gate.wait(self._wake)
        self._gate.enter(key for entry in entries if (key := _key(entry)) is not None)
        return entries

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._wake()

    async def _window(self, entries: list[InFlight], probed: Sequence[Breaker]) -> None:
        left = entries
        started = time.perf_counter()
        try:
            left = self._still_owned(left)
            decided = await self._work(left)
            # A revoked record is its new owner's: what we made of it would come twice.
            left = self._still_owned(left)
            decided = [each for each in decided if not each.entry.offsets.revoked]
            await self._settlement.settle(decided)
            await self._settlement.follow_up(decided)
            self._finish([each.entry for each in decided])
            for breaker in self._breakers.opened(self._dependencies):
                if decided and breaker.name.startswith(PRODUCING):
                    breaker.succeeded()
            settled = {id(each.entry) for each in decided}
            left = [entry for entry in left if id(entry) not in settled]
        except OutageError as error:
            self._judge([Failed(error)])  # and nothing is settled: the records wait for it
        except Exception:
            # Nothing an agent raises comes here. The records are not settled, so not lost.
            log.exception("window_failed", flow=self.spec.name, records=len(entries))
            await asyncio.sleep(CRASH_SECONDS)
        finally:
            # Held by an outage, or cancelled: they stand at the front again with their keys.
            self._queue.put_back(left)
            self._gate.leave([_key(entry) for entry in entries])
            for breaker in probed:
                breaker.abandon()
        metrics.flow_window_records.labels(self.spec.name).observe(len(entries))
        metrics.processing_seconds.labels(self.spec.name).observe(time.perf_counter() - started)

    def _still_owned(self, entries: Sequence[InFlight]) -> list[InFlight]:
        """Return the entries whose partitions are still owned; let go of the others."""
        for entry in entries:
            if entry.offsets.revoked:
                self._queue.release(entry)
                self._forget(entry)
        return [entry for entry in entries if not entry.offsets.revoked]

    async def _work(self, entries: Sequence[InFlight]) -> list[Decided]:
        """Return what is decided; what an outage holds is left out."""
        decided: list[Decided] = []
        works: list[tuple[InFlight, Work[T]]] = []
        for entry in entries:
            early = self._early(entry)
            if isinstance(early, Work):
                works.append((entry, early))
            else:
                decided.append(early)
        holds = self._settlement.holds
        outages = [each.outcome for each in decided if holds(each.outcome)]
        outcomes = await self._handle([work for _, work in works])
        self._judge([*outages, *outcomes])
        decided += [
            Decided(entry, outcome, self.spec.batch_of(work.item), work)
            for (entry, work), outcome in zip(works, outcomes, strict=True)
        ]
        return [each for each in decided if not holds(each.outcome)]

    def _early(self, entry: InFlight) -> Work[T] | Decided:
        """Decode; what cannot be decoded or must be re-keyed never reaches the agent."""
        record = entry.record
        route = self.spec.routes[record.topic]
        try:
            item = self.spec.decode(record)
        except Exception as error:
            return Decided(entry, Failed(error), _batch_of(record))
        id = self.spec.id_of(item) if route.rekeys else None
        if id is not None and record.key != id.encode("utf-8", "replace"):
            return Decided(entry, Done((copies.rekeyed(record, route.base, id),)), None)
        return Work(record, item, entry.tried)

    async def _handle(self, works: Sequence[Work[T]]) -> Sequence[Outcome]:
        """Ask the agent; a window that raises is halved until the bad record stands alone."""
        if not works:
            return []
        try:
            outcomes = await self.spec.handle(works)
            if len(outcomes) != len(works):
                raise RuntimeError(f"{len(outcomes)} outcomes for {len(works)} records")
        except Exception as error:
            if self._is_outage(error) or len(works) == 1 or _everyones(error):
                return [Failed(error)] * len(works)
            middle = len(works) // 2
            return [*await self._handle(works[:middle]), *await self._handle(works[middle:])]
        return outcomes

    def _is_outage(self, error: Exception) -> bool:
        return classify(error) is ErrorClass.OUTAGE

    def _judge(self, outcomes: Sequence[Outcome]) -> None:
        """Tell the breakers what the window saw."""
        errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
        failed: set[str] = set()
        for error in errors:
            name = getattr(error, "dependency", None)
            if name is None or name in failed:
                continue
            failed.add(name)
            if isinstance(error, OutageError):
                self._breakers[name].open(str(error), error.retry_after)
                log.warning("held", flow=self.spec.name, dependency=name, reason=str(error))
            else:
                self._breakers[name].failed(str(error))
        self._dependencies |= failed
        if len(errors) < len(outcomes):
            for name in self._dependencies:
                if name not in failed:
                    self._breakers[name].succeeded()

    def _finish(self, entries: Sequence[InFlight]) -> None:
        for entry in entries:
            entry.offsets.settle(entry.record.offset)
            self._queue.release(entry)
            self._forget(entry)
        self.counters.processed += len(entries)
        self.counters.last_processed = time.time()
        self.counters.recent.append((time.monotonic(), len(entries)))
        if len(self.counters.recent) > 4096:
            self.counters.rate(time.monotonic())

    def _forget(self, entry: InFlight) -> None:
        self._records -= 1
        self._bytes -= entry.record.size


def _batch_of(record: Record) -> str | None:
    """The batch of a record that could not be decoded, where it can still be seen."""
    return record.header(h.BATCH) or peek(record)[1]


def _everyones(error: Exception) -> bool:
    """A dependency that fails every record: halving would only ask it again and again."""
    return isinstance(error, TransientError) and error.dependency is not None


def _key(entry: InFlight) -> bytes | None:
    return entry.record.key


def _no_key(_entry: InFlight) -> None:
    return None
