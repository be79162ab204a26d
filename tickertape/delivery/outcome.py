"""What an agent says about each record: done, with what to publish, or failed, with the error."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tickertape.record import Outgoing, Record

T = TypeVar("T")


class State(enum.Enum):
    """Where a stage of a batch's item stands."""

    DONE = "done"
    UNCHANGED = "unchanged"  # done, and nothing had to be computed
    REPEAT = "repeat"  # the same document came twice in one batch; counted once
    SUPERSEDED = "superseded"  # done: something newer was there already
    RETRYING = "retrying"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """A record and what it was decoded to. ``tried``: what followed from it may have been produced
    by this very worker before, which could not confirm all of it."""

    record: Record
    item: T
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome stands. ``outputs`` are produced and confirmed before the offset moves."""

    outputs: Sequence[Outgoing] = ()
    state: State = State.DONE


@dataclass(frozen=True, slots=True)
class Failed:
    """This record failed; its class decides what follows."""

    error: Exception


Outcome = Done | Failed
