"""What follows from an outcome: records to produce, and their confirmation.

A record is settled when the broker has acknowledged all of it: the agent's outputs, or the copy
on a retry topic or the dead letter topic, and the progress of its batch. An outage settles
nothing: the record stays in its flow.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from tickertape import headers as h
from tickertape import metrics
from tickertape.delivery import copies, policy, progress
from tickertape.delivery.offsets import PartitionOffsets
from tickertape.delivery.outcome import Done, Failed, Outcome, State, Work
from tickertape.delivery.spec import FlowLimits, Publish, Spec
from tickertape.delivery.status import Counters
from tickertape.errors import (
    OutageError,
    PermanentError,
    TooLarge,
    TransientError,
    classify,
    drop_traceback,
)
from tickertape.record import Outgoing, Record

PUBLISH_RETRY_SECONDS = 0.5
PRODUCING = "kafka:"  # how the name of a dependency begins that is a topic we produce to
SAY_SECONDS = 10.0  # between two lines of the same trouble

log = structlog.get_logger("tickertape.flow")


@dataclass(slots=True, eq=False)
class InFlight:
    """A record in the flow. ``tried``: see `Work`."""

    record: Record
    offsets: PartitionOffsets
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """A record with its outcome, the batch it belongs to, and what it was decoded to (None where
    the agent never saw it)."""

    entry: InFlight
    outcome: Outcome
    batch: str | None
    work: Work[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Following:
    """What to produce for an outcome, and the state to tell."""

    decided: Decided
    outputs: Sequence[Outgoing]
    state: State


class Settlement:
    """Settles the records of one flow."""

    def __init__(
        self, spec: Spec[Any], limits: FlowLimits, publish: Publish, counters: Counters
    ) -> None:
        self._spec = spec
        self._limits = limits
        self._publish = publish
        self._counters = counters
        self._said = float("-inf")  # monotonic

    def holds(self, outcome: Outcome) -> bool:
        """True where the record has to stay in its flow: no attempt is spent on an outage."""
        error = outcome.error if isinstance(outcome, Failed) else None
        return error is not None and isinstance(self._decide(error, attempts=0), policy.Hold)

    async def settle(self, decided: Sequence[Decided]) -> None:
        """Confirm everything that follows from the outcomes; none of them may be one that
        `holds`. The offsets are the caller's.

        Raises:
            OutageError: a topic cannot be written to, whatever the record. Some of what follows
                may have been produced; all of it is again, when the records are.
        """
        for one in decided:
            one.entry.tried = True
        followed = [self._follow(each) for each in decided]
        events = {
            index: self._event(each.decided, each.state)
            for index, each in enumerate(followed)
            if each.decided.batch is not None and self._spec.stage is not None
        }
        for index, error in (await self._confirm([each.outputs for each in followed])).items():
            await self._bury(followed[index], error)
            if index in events:
                events[index] = self._event(followed[index].decided, State.DEAD)
        await self._tell(list(events.values()))
        for each in followed:
            outcome = each.decided.outcome
            if isinstance(outcome, Failed):
                drop_traceback(outcome.error)
        self._tell_superseded([one for one in followed if one.state is State.SUPERSEDED])
        outcomes = Counter((one.decided.entry.record.topic, one.state.value) for one in followed)
        for labels, count in outcomes.items():
            metrics.messages_consumed.labels(*labels).inc(count)
        self._observe(followed)

    def _observe(self, followed: Sequence[_Following]) -> None:
        """A letter that was replayed waited for a person: that tells nothing of the flow."""
        seconds, now = metrics.end_to_end_seconds.labels(self._spec.name), time.time()
        for one in followed:
            record = one.decided.entry.record
            if one.state is State.DONE and not (record.trusted and record.header(h.REPLAYS)):
                # By two clocks, the broker's and ours, which may be apart.
                seconds.observe(max(0.0, now - record.stamp.ms / 1000))

    async def follow_up(self, decided: Sequence[Decided]) -> None:
        """Publish what has to stand behind what `settle` confirmed (`Spec.overtaken`).

        A store orders what several workers write of a document, and no topic does: what one of
        them published late may stand behind the newer text of another.

        Raises:
            OutageError: it could not be found out, or not be published.
        """
        done = [
            (each.work, each.outcome)
            for each in decided
            if each.work is not None and isinstance(each.outcome, Done)
        ]
        if self._spec.overtaken is None or not done:
            return
        told: Sequence[Outgoing] = ()
        # What is told here may be late itself: asked again, until nothing else is to be told.
        while (behind := await self._overtaken(done)) and behind != told:
            for error in (await self._confirm([[output] for output in behind])).values():
                metrics.not_told_again.inc()
                log.error("not_told_again", flow=self._spec.name, error=str(error)[:500])
            told = behind

    async def _overtaken(self, done: Sequence[tuple[Work[Any], Done]]) -> Sequence[Outgoing]:
        assert self._spec.overtaken is not None
        try:
            return await self._spec.overtaken(done)
        except TransientError as error:
            if error.dependency is None:
                raise
            # No attempt may be spent on what is done: it waits until the dependency answers.
            raise OutageError(str(error), dependency=error.dependency) from error

    def _tell_superseded(self, passed: Sequence[_Following]) -> None:
        """What a newer event made of no use is done; but nobody should wonder where it went."""
        if passed:
            self._counters.superseded += len(passed)
            self._bound(passed[0].decided).info("superseded", records=len(passed))

    # The policy

    def _decide(self, error: Exception, attempts: int) -> policy.Decision:
        limits = self._limits
        return policy.decide(
            classify(error), attempts, limits.retry_delays_seconds, limits.retry_jitter
        )

    def _follow(self, decided: Decided) -> _Following:
        """Return what follows from an outcome. This is the whole failure policy."""
        outcome, record = decided.outcome, decided.entry.record
        if isinstance(outcome, Done):
            return _Following(decided, outcome.outputs, outcome.state)
        error = outcome.error
        route = self._spec.routes[record.topic]
        self._counters.errors += 1
        match self._decide(error, route.attempts):
            case policy.Hold():
                raise AssertionError("a record that an outage holds is not settled")
            case policy.Retry(level, delay):
                self._counters.retried += 1
                metrics.retries.labels(str(level), type(error).__name__).inc()
                self._bound(decided).warning("retry", level=level, error=str(error))
                copy = copies.retry(record, route.base, level, delay, error)
                return _Following(decided, [copy], State.RETRYING)
            case policy.Dead():
                return _Following(decided, [self._letter(decided, error)], State.DEAD)

    def _letter(self, decided: Decided, error: Exception) -> Outgoing:
        record = decided.entry.record
        route = self._spec.routes[record.topic]
        self._counters.dead += 1
        metrics.dead.labels(route.base, type(error).__name__).inc()
        self._bound(decided).error("dead_letter", error=str(error))
        return copies.dead(
            record, route.base, self._limits.group, route.attempts, error, decided.batch
        )

    def _bound(self, decided: Decided) -> Any:
        record = decided.entry.record
        return log.bind(
            flow=self._spec.name,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=_shown(record.key),
            batch=decided.batch,
        )

    # Confirmation

    async def _bury(self, followed: _Following, error: Exception) -> None:
        """The broker will never take what follows: the record becomes a dead letter, of which
        ever less is kept until the broker takes it.

        Raises:
            OutageError: it takes nothing. Without any trace the record would be nowhere: it stays.
        """
        if followed.state is State.DEAD:
            (letter,) = followed.outputs
            forms = [copies.remnant(letter), copies.trace(letter)]
        else:
            letter = self._letter(followed.decided, error)
            forms = [letter, copies.remnant(letter), copies.trace(letter)]
        refused = error
        for form in forms:
            errors = await self._confirm([[form]])
            if not errors:
                return
            refused = errors[0]
        raise OutageError(
            f"{letter.topic} refuses every form of a dead letter: {refused}",
            dependency=f"{PRODUCING}{letter.topic}",
        )

    async def _tell(self, events: Sequence[progress.Event]) -> None:
        """Produce the progress. A delta that the broker will never take is told item by item; an
        item that it does not take either is a count that stays short, and is said."""
        topic = self._limits.progress_topic
        if await self._confirm([progress.outgoing(topic, events)]):
            for event in events:
                for error in (await self._confirm([progress.outgoing(topic, [event])])).values():
                    metrics.progress_refused.inc()
                    log.error("progress_refused", origin=str(event.origin), error=str(error)[:500])
        for event in events:
            metrics.batch_items.labels(event.state.value).inc()

    async def _confirm(self, outputs: Sequence[Sequence[Outgoing]]) -> dict[int, Exception]:
        """Produce until the broker acknowledged all; return those it will never take, by index.

        A broker that is away is waited for: the records stay in flight and the flow fills up.

        Raises:
            OutageError: a topic takes nothing from us until somebody mends that.
        """
        todo = [(index, out) for index, made in enumerate(outputs) for out in made]
        refused: dict[int, Exception] = {}
        while todo:
            errors = await self._publish([out for _, out in todo])
            again = []
            for (index, out), error in zip(todo, errors, strict=True):
                if error is None:
                    continue
                metrics.produce_errors.labels(out.topic, type(error).__name__).inc()
                if isinstance(error, PermanentError):
                    refused[index] = TooLarge(f"{out.topic}: {error}")
                elif isinstance(error, OutageError):
                    raise error
                else:
                    again.append((index, out))
            if again:
                self._say(len(again), next(error for error in errors if error is not None))
                await asyncio.sleep(PUBLISH_RETRY_SECONDS)
            todo = again
        return refused

    def _say(self, count: int, error: Exception) -> None:
        if (now := time.monotonic()) - self._said >= SAY_SECONDS:
            self._said = now
            log.warning("produce_failed", flow=self._spec.name, records=count, error=str(error))

    def _event(self, decided: Decided, state: State) -> progress.Event:
        record = decided.entry.record
        assert self._spec.stage is not None
        assert decided.batch is not None
        stages = self._spec.stages_of(record.origin.topic) or (self._spec.stage,)
        return progress.event(record, decided.batch, self._spec.stage, stages, state)


def _shown(key: bytes | None) -> str | None:
    return key[:200].decode("utf-8", "replace") if key is not None else None
