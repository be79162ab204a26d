"""Dead letters back into their flows: confirmed by the broker first, marked afterwards.

Whatever stops it, nothing is lost: a letter that is not marked is replayed again, and a second
copy of a replay changes nothing (same origin, same version, same count of replays). An item of a
batch moves from dead to retrying under the new count, so that its batch is open again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from tickertape import headers as h
from tickertape import metrics, topics
from tickertape.delivery import progress
from tickertape.delivery.outcome import State
from tickertape.dlq import marks
from tickertape.dlq.edit import Edit, kept_in_batch
from tickertape.dlq.entries import EntryPoint, base_of, entries, key_of
from tickertape.dlq.letter import Letter
from tickertape.dlq.marks import LetterState
from tickertape.errors import BrokerError, PermanentError, TransientError
from tickertape.mask import mask_text
from tickertape.record import Outgoing, text_headers
from tickertape.settings import Settings

WINDOW_RECORDS = 200
WINDOW_BYTES = 8 * 2**20

T = TypeVar("T")


class Send(Protocol):
    """Produces and waits for every acknowledgement (`Publisher.send`)."""

    async def __call__(self, records: Sequence[Outgoing]) -> list[Exception | None]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How to replay. ``rate`` is in letters a second, ``limit`` in letters looked at."""

    dry_run: bool = False
    limit: int | None = None
    rate: float | None = None
    edit: Edit | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a letter becomes: a record of its flow, or of the parking topic."""

    letter: Letter
    record: Outgoing
    state: LetterState
    replays: int
    event: progress.Event | None = None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What became of a letter: its step was taken, or an error left it as it was."""

    letter: Letter
    step: Step | None = None
    error: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return it for programs: {id, action, to, key, replays, error}. Secrets are masked."""
        step, failed = self.step, self.error is not None
        key = None if step is None else step.record.key
        return {
            "id": str(self.letter.place),
            "action": "failed" if step is None or failed else step.state.value,
            "to": None if step is None else step.record.topic,
            "key": None if key is None else mask_text(key.decode("utf-8", "backslashreplace")),
            "replays": self.letter.replays if step is None or failed else step.replays,
            "error": None if self.error is None else mask_text(self.error),
        }


@dataclass(slots=True)
class Totals:
    """Counts of a replay."""

    replayed: int = 0
    parked: int = 0
    failed: int = 0
    results: list[ReplayResult] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Letters looked at."""
        return self.replayed + self.parked + self.failed

    def add(self, result: ReplayResult, keep: int) -> None:
        """Count a result, and keep it while there are fewer than ``keep``."""
        if result.step is None or result.error is not None:
            self.failed += 1
        elif result.step.state is LetterState.PARKED:
            self.parked += 1
        else:
            self.replayed += 1
        if len(self.results) < keep:
            self.results.append(result)


class Replayer:
    """Replays letters. ``existing`` are the topics of the broker: a producer waits for others."""

    def __init__(self, settings: Settings, send: Send, existing: set[str]) -> None:
        self._settings = settings
        self._send = send
        self._existing = existing
        self._entries = entries(settings)
        self._marks = topics.replays(settings.app_id)

    async def run(
        self,
        letters: AsyncIterable[Letter],
        plan: Plan,
        each: Callable[[ReplayResult], None] = lambda _result: None,
        keep: int = 0,
    ) -> Totals:
        """Replay the letters, window by window. A window that was begun is finished.

        ``each`` is told of every result; the first ``keep`` are returned.

        Raises:
            BrokerError: the broker acknowledges nothing any more.
        """
        totals = Totals()
        size = WINDOW_RECORDS
        if plan.rate is not None:
            size = max(1, min(size, int(plan.rate)))
        started = time.monotonic()
        window: list[Letter] = []

        async def flush() -> None:
            if not window:
                return
            for result in await _finished(self._window(list(window), plan)):
                totals.add(result, keep)
                each(result)
            window.clear()
            if plan.rate is not None and not plan.dry_run:
                await asyncio.sleep(started + totals.done / plan.rate - time.monotonic())

        async for letter in letters:
            if plan.limit is not None and totals.done + len(window) >= plan.limit:
                break
            window.append(letter)
            if len(window) >= size or sum(one.size for one in window) >= WINDOW_BYTES:
                await flush()
        await flush()
        return totals

    def step(self, letter: Letter, edit: Edit | None = None) -> Step:
        """Return what to produce for a letter.

        Raises:
            PermanentError: it cannot be replayed; says why.
        """
        base = base_of(letter.place.topic)
        entry = self._entries.get(base or "")
        if entry is None:
            raise PermanentError(
                f"{base or letter.place.topic} is not a topic of ours (any more): "
                "name it in the settings, or purge the letter"
            )
        parked = letter.place.topic == topics.parking(entry.base)
        if letter.replays >= self._settings.replays_max and not parked:
            record = Outgoing(topics.parking(entry.base), letter.key, letter.value, letter.headers)
            self._check_exists(record.topic)
            return Step(letter, record, LetterState.PARKED, letter.replays)
        self._check_exists(entry.topic)
        return _replay(letter, entry, edit)

    def _check_exists(self, topic: str) -> None:
        if topic not in self._existing:
            raise PermanentError(
                f"the topic {topic} does not exist; `topics create` makes what is missing"
            )

    async def _window(self, letters: Sequence[Letter], plan: Plan) -> list[ReplayResult]:
        """Records, then progress, then marks; each step only for what the one before confirmed."""
        results: dict[int, ReplayResult] = {}
        steps: dict[int, Step] = {}
        for index, letter in enumerate(letters):
            try:
                steps[index] = self.step(letter, plan.edit)
            except PermanentError as error:
                results[index] = ReplayResult(letter, error=str(error))
        if not plan.dry_run:
            await self._produce(steps, results)
        for index, step in steps.items():
            results.setdefault(index, ReplayResult(step.letter, step))
        return [results[index] for index in sorted(results)]

    async def _produce(self, steps: dict[int, Step], results: dict[int, ReplayResult]) -> None:
        def fail(index: int, what: str, error: Exception) -> None:
            step = steps.pop(index)
            results[index] = ReplayResult(step.letter, step, f"{what}: {error}")

        indexes = list(steps)
        errors = await self._send([steps[index].record for index in indexes])
        for index, error in zip(indexes, errors, strict=True):
            if error is not None:
                fail(index, "not replayed", error)
        if indexes and not steps and all(isinstance(error, TransientError) for error in errors):
            raise BrokerError(f"stopped, the broker acknowledges nothing: {errors[0]}")
        events = [step.event for step in steps.values() if step.event is not None]
        await self._note(progress.outgoing(self._settings.topic_batch_progress, events))
        for state in (LetterState.REPLAYED, LetterState.PARKED):
            places = [step.letter.place for step in steps.values() if step.state is state]
            await self._note(marks.outgoing(self._marks, state, places))
            if state is LetterState.REPLAYED:
                for place in places:
                    metrics.replayed.labels(base_of(place.topic) or place.topic).inc()

    async def _note(self, records: Sequence[Outgoing]) -> None:
        """What is not noted is replayed again, which is harmless; but it is said."""
        for error in await self._send(records) if records else ():
            if error is not None:
                raise BrokerError(f"replayed, but it could not be noted: {error}")


def _replay(letter: Letter, entry: EntryPoint, edit: Edit | None) -> Step:
    """The record as it first came, less what was said of its death, one replay older."""
    value = letter.value
    replays = letter.replays + 1
    dropped = [h.ERROR_CLASS, h.REPLAYS, h.REKEYED]
    # When it first came; should it die again, its letter says so still.
    first = letter.header(h.DLT_TIMESTAMP)
    added: dict[str, object] = {h.REPLAYS: replays, h.RETRY_FIRST: first}
    if entry.topic == topics.rekeyed(entry.base):
        added[h.REKEYED] = 1
    if letter.origin is not None:
        dropped.append(h.ORIGIN)
        added[h.ORIGIN] = str(letter.origin)
    if edit is not None:
        value = edit(letter.value)
        if entry.flow.stage is not None:
            value = kept_in_batch(value, letter.batch)
        # Other content is a newer version: that of the moment when it is replayed.
        dropped += [h.VERSION, h.EDITED, h.EDITED_FROM]
        added |= {h.EDITED: 1, h.EDITED_FROM: letter.place}
    headers = [
        (name, content)
        for name, content in letter.headers
        if name not in dropped and not name.startswith((h.DLT_PREFIX, h.RETRY_PREFIX))
    ]
    headers += text_headers(added)
    event = None
    if entry.flow.stage is not None and letter.batch is not None and letter.origin is not None:
        event = progress.Event(
            letter.batch,
            letter.origin,
            entry.flow.stage,
            entry.flow.stages,
            State.RETRYING,
            replays,
        )
    key = key_of(entry, replace(letter.record, value=value, headers=headers))
    out = Outgoing(entry.topic, key, value, headers)
    return Step(letter, out, LetterState.REPLAYED, replays, event)


async def _finished(work: Coroutine[object, object, T]) -> T:
    """Await it; a cancellation waits until it is finished, so that no replay stays unmarked."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
