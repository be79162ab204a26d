"""All that is done with dead letters, for commands and pages: one question, one reader."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from tickertape import topics
from tickertape.dlq import entries
from tickertape.dlq.filters import Filter
from tickertape.dlq.letter import Letter, Place
from tickertape.dlq.marks import ONLY_OPEN, LetterState, Marks, outgoing
from tickertape.dlq.purge import Going, delete_before
from tickertape.dlq.reader import Reader, kafka_reader
from tickertape.dlq.replay import Plan, Replayer, ReplayResult, Send, Totals
from tickertape.errors import BrokerError, InvalidRecord
from tickertape.kafka.brokers import brokers_of
from tickertape.settings import Settings

LOOKUPS_MAX = 4  # of documents' letters at a time; each has connections of its own

OpenReader = Callable[[], AbstractAsyncContextManager[Reader]]
Found = tuple[Letter, LetterState]


@dataclass(frozen=True, slots=True)
class Purge:
    """Letters that were deleted, and letters that are only hidden until they expire."""

    deleted: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters: those of ``ids``, else those of ``topics`` (none: all of ours) that fit.

    ``states``: nothing else than open ones, unless it says so.
    """

    topics: tuple[str, ...] = ()
    filter: Filter = field(default_factory=Filter)
    ids: tuple[Place, ...] = ()
    states: frozenset[LetterState] = ONLY_OPEN


class DeadLetters:
    """Holds no connection; only the marks it has read are kept, so that they are read once.

    Every method raises `BrokerError` where the broker does not answer.
    """

    def __init__(
        self, settings: Settings, send: Send, open_reader: OpenReader | None = None
    ) -> None:
        self._settings = settings
        self._send = send
        self._open_reader = open_reader or (lambda: kafka_reader(brokers_of(settings)))
        self._marks = Marks()
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self._marks_topic = topics.replays(settings.app_id)

    async def newest(self, selection: Selection, limit: int) -> list[Found]:
        """Return the newest letters that fit, newest first, without their values."""
        async with self._open() as reader:
            found = await reader.newest(
                self._topics(selection),
                lambda letter: self._wanted(letter, selection),
                limit,
                selection.filter.since_ms,
            )
        return [(letter, self._marks.state(letter.place)) for letter in found]

    async def get(self, place: Place) -> Found | None:
        """Return one letter; None where there is none, or its topic holds no dead letters."""
        if entries.base_of(place.topic) is None:
            return None
        async with self._open() as reader:
            letter = await reader.get(place)
        return None if letter is None else (letter, self._marks.state(place))

    async def of_document(self, id: str) -> Letter | None:
        """Return the newest open letter whose key is the id, among the last of each topic."""
        async with self._lookups, self._open() as reader:
            return await reader.of_key(
                [topics.dlq(base) for base in self._keyed_by_id()],
                id.encode(),
                lambda letter: self._marks.state(letter.place) is LetterState.OPEN,
            )

    async def each(self, selection: Selection) -> AsyncGenerator[Found, None]:
        """Yield the letters that are there now, with their values, each partition's in order."""
        async with self._open() as reader, aclosing(self._each(reader, selection)) as letters:
            async for letter in letters:
                yield letter, self._marks.state(letter.place)

    async def open_count(self) -> int:
        """Return how many letters of ours are open, by offsets and marks: none is read."""
        async with self._open() as reader:
            bounds = await reader.bounds(entries.sources(self._settings))
        return sum(
            self._marks.open_count(topic, partition, begin, end)
            for (topic, partition), (begin, end) in bounds.items()
        )

    async def count(self, selection: Selection) -> int:
        """Return how many letters fit."""
        total = 0
        async with aclosing(self.each(selection)) as found:
            async for _ in found:
                total += 1
        return total

    async def replay(
        self,
        selection: Selection,
        plan: Plan,
        each: Callable[[ReplayResult], None] = lambda _result: None,
        keep: int = 0,
    ) -> Totals:
        """Replay the letters that fit (see `Replayer.run`).

        Raises:
            InvalidRecord: there is no letter of an id, or something was done with it already.
        """
        async with self._open() as reader:
            replayer = Replayer(self._settings, self._send, reader.existing)
            async with aclosing(self._each(reader, selection)) as letters:
                return await replayer.run(letters, plan, each, keep)

    async def purge(
        self, selection: Selection, *, dry_run: bool, limit: int | None = None
    ) -> Purge:
        """Delete or hide the letters that fit (see `tickertape.dlq.purge`); say how many.

        Raises:
            InvalidRecord: as `replay`.
        """
        going: dict[tuple[str, int], Going] = defaultdict(Going)
        async with self._open() as reader:
            if selection.ids:
                async with aclosing(self._each(reader, selection)) as letters:
                    async for letter in letters:
                        place = letter.place
                        going[place.topic, place.partition].hide(place.offset)
            else:
                # From the beginning: whether all older letters go is the question.
                async with aclosing(reader.oldest(self._topics(selection))) as letters:
                    count = 0
                    async for letter in letters:
                        place = letter.place
                        state = self._marks.state(place)
                        purged = state is LetterState.PURGED
                        goes = not purged and self._wanted(letter, selection)
                        goes = goes and (limit is None or count < limit)
                        count += goes
                        going[place.topic, place.partition].see(place.offset, goes, purged)
        if not dry_run:
            await self._purge(going)
        return Purge(
            sum(one.deleted for one in going.values()),
            sum(len(one.hidden) for one in going.values()),
        )

    async def _purge(self, going: Mapping[tuple[str, int], Going]) -> None:
        places = [Place(*where, offset) for where, one in going.items() for offset in one.hidden]
        for error in await self._send(outgoing(self._marks_topic, LetterState.PURGED, places)):
            if error is not None:
                raise BrokerError(f"not all could be marked: {error}")
        offsets = {where: one.delete_before for where, one in going.items() if one.deleted}
        if offsets:
            await delete_before(brokers_of(self._settings), offsets)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Reader]:
        async with self._open_reader() as reader:
            await reader.catch_up(self._marks_topic, self._marks)
            yield reader

    async def _each(self, reader: Reader, selection: Selection) -> AsyncGenerator[Letter, None]:
        for place in selection.ids:
            letter = await reader.get(place) if entries.base_of(place.topic) else None
            state = self._marks.state(place)
            if letter is None:
                raise InvalidRecord("id", "a dead letter that is there", str(place))
            if state not in selection.states:
                raise InvalidRecord("id", f"a letter that was not {state.value} yet", str(place))
            yield letter
        if selection.ids:
            return
        found = reader.oldest(self._topics(selection), selection.filter.since_ms)
        async with aclosing(found) as letters:
            async for letter in letters:
                if self._wanted(letter, selection):
                    yield letter

    def _topics(self, selection: Selection) -> list[str]:
        return list(selection.topics) or entries.sources(self._settings)

    def _wanted(self, letter: Letter, selection: Selection) -> bool:
        stands = self._marks.state(letter.place)
        return stands in selection.states and selection.filter.matches(letter)

    def _keyed_by_id(self) -> list[str]:
        found = entries.entries(self._settings).values()
        return [entry.base for entry in found if entry.flow.id_field is not None]
