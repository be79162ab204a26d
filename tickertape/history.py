"""Conversations: what is kept of each, how it changes, and what every worker knows of them.

A change goes to `chat-turns`, keyed by user. Its owner folds it into a Faust table, whose compacted
changelog every worker reads for itself, so that any can answer. What a worker has just said it
knows at once: a change of its own is folded in until it comes back.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from tickertape import headers as h
from tickertape import topics
from tickertape.compacted import CompactedReader
from tickertape.decode import parse
from tickertape.errors import InvalidRecord, TransientError
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings

TABLE = "history"
ROLES = ("user", "assistant")
TURNS_MAX = 100  # of one conversation; the oldest are forgotten
BYTES_MAX = 256 * 2**10  # of its text
SEEN_MAX = 64  # changes that may come once more, after a crash
FIRST, LAST = -62_135_596_800.0, 253_402_300_799.0  # the years that a date has, 1 to 9999
OWN_SECONDS = 60.0  # a change that has not come back by then was not ours to keep

Talk = dict[str, Any]  # {"turns": [{"role", "content", "timestamp"}], "seen": [id], "at": ms}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said; ``timestamp`` in epoch seconds."""

    role: str
    content: str
    timestamp: float

    def shown(self) -> dict[str, Any]:
        """Return it as people are shown it."""
        when = datetime.fromtimestamp(min(max(FIRST, self.timestamp), LAST), UTC).isoformat()
        return {"role": self.role, "content": self.content, "timestamp": when}


@dataclass(frozen=True, slots=True)
class Change:
    """``turns`` are said, or stand for all that was said before (``whole``): none of them deletes
    it for good. ``at``: the broker's time of it (epoch ms)."""

    user: str
    id: str
    turns: tuple[Turn, ...]
    whole: bool = False
    at: int = 0


def encode(topic: str, change: Change) -> Outgoing:
    """Return the record of a change."""
    value = {
        "id": change.id,
        "whole": change.whole,
        "turns": [[turn.role, turn.content, turn.timestamp] for turn in change.turns],
    }
    return Outgoing(
        topic, change.user.encode("utf-8", "replace"), orjson.dumps(value), [(h.OWN, b"1")]
    )


def decode(record: Record) -> Change:
    """Read a record of `chat-turns`.

    Raises:
        InvalidRecord: it is none.
    """
    try:
        value: Any = parse(record.value)
        turns = tuple(Turn(str(r), str(text), float(when)) for r, text, when in value["turns"])
        if not all(turn.role in ROLES for turn in turns):
            raise ValueError("a role")
        user = (record.key or b"").decode()
        return Change(user, str(value["id"]), turns, bool(value["whole"]), record.timestamp_ms)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRecord("chat-turns", "a change of a conversation", repr(error)) from None


def fold(state: Talk | None, change: Change) -> Talk | None:
    """Return the conversation after a change; None where nothing is left of it. The same change
    twice changes nothing."""
    before = state or {"turns": [], "seen": [], "at": 0}
    if change.id in before["seen"]:
        return state
    turns = [] if change.whole else list(before["turns"])
    turns += [
        {"role": turn.role, "content": turn.content, "timestamp": turn.timestamp}
        for turn in change.turns
    ]
    if not turns:
        return None
    seen = [*before["seen"], change.id][-SEEN_MAX:]
    return {"turns": _bounded(turns), "seen": seen, "at": max(before["at"], change.at)}


def _bounded(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last turns within the bounds."""
    kept: list[Mapping[str, Any]] = []
    room = BYTES_MAX
    for turn in reversed(turns[-TURNS_MAX:]):
        room -= len(turn["content"].encode("utf-8", "replace"))
        if room < 0 and kept:
            break
        kept.append(turn)
    return kept[::-1]


class Sender(Protocol):
    """Produces to Kafka and waits for the broker's acknowledgement."""

    async def __call__(self, records: Sequence[Outgoing]) -> list[Exception | None]: ...


class History:
    """Every conversation, as this worker knows it."""

    def __init__(
        self, settings: Settings, send: Sender, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._topic = settings.topic_chat_turns
        self._reader = CompactedReader(
            settings, topics.changelog(settings.app_id, TABLE), self.take, name=TABLE
        )
        self._send = send
        self._clock = clock
        self._states: dict[str, Talk] = {}
        # Not come back yet; the user of the latest change is last.
        self._own: dict[str, list[tuple[float, Change]]] = {}

    async def start(self) -> None:
        """Read in the background, from the beginning."""
        await self._reader.start()

    async def stop(self) -> None:
        """Stop reading. Safe to call twice."""
        await self._reader.stop()

    @property
    def caught_up(self) -> bool:
        """True once all that stood on the changelog at start has been read."""
        return self._reader.caught_up

    def get(self, user: str) -> list[Turn]:
        """Return what was said, the oldest first.

        Raises:
            TransientError: this worker is still reading what there is.
        """
        if not self.caught_up:
            raise TransientError("this worker is still reading the conversations")
        state = self._states.get(user)
        for _, change in self._waiting(user, state):
            state = fold(state, change)
        return [Turn(**turn) for turn in state["turns"]] if state else []

    async def add(self, user: str, question: str, answer: str) -> None:
        """Keep a question and its answer.

        Raises:
            TransientError: the broker has not acknowledged it.
        """
        now = time.time()
        await self._tell(user, Turn("user", question, now), Turn("assistant", answer, now))

    async def replace(self, user: str, turns: Sequence[Turn]) -> None:
        """Keep these turns alone; with none of them the conversation is deleted, for good.

        Raises:
            TransientError: the broker has not acknowledged it.
        """
        await self._tell(user, *turns, whole=True)

    async def _tell(self, user: str, *turns: Turn, whole: bool = False) -> None:
        change = Change(user, uuid.uuid4().hex, turns, whole)
        (error,) = await self._send([encode(self._topic, change)])
        if error is not None:
            raise error
        now = self._clock()
        self._own[user] = [*self._own.pop(user, ()), (now, change)]
        # What changes nothing, as a deletion of nothing, never comes back.
        while self._own[first := next(iter(self._own))][-1][0] <= now - OWN_SECONDS:
            del self._own[first]

    def _waiting(self, user: str, state: Talk | None) -> list[tuple[float, Change]]:
        """This worker's own changes that have not come back."""
        seen = state["seen"] if state else ()
        late = self._clock() - OWN_SECONDS
        own = [(at, c) for at, c in self._own.get(user, ()) if at > late and c.id not in seen]
        self._keep(user, own)
        return own

    def _keep(self, user: str, own: list[tuple[float, Change]]) -> None:
        """Keep these of a user's own changes, in the user's place."""
        if own:
            self._own[user] = own
        else:
            self._own.pop(user, None)

    def take(self, message: Any) -> None:
        """Take a record of the changelog."""
        try:
            user = orjson.loads(message.key or b"null")
            state = None if message.value is None else orjson.loads(message.value)
        except ValueError:
            return
        if not isinstance(user, str):
            return
        if state is not None and {"turns", "seen", "at"} <= state.keys():
            if state["at"] >= self._states.get(user, {"at": 0})["at"]:
                self._states[user] = state
                self._waiting(user, state)
            return
        self._states.pop(user, None)
        # What this worker said before it deleted it is gone, too.
        own = self._own.get(user, [])
        gone = max((n for n, (_, c) in enumerate(own) if c.whole and not c.turns), default=-1)
        self._keep(user, own[gone + 1 :])
