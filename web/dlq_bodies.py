"""What is asked of dead letters, and what is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from tickertape.dlq import filters
from tickertape.dlq.letter import Place
from tickertape.errors import InvalidRecord
from web.bodies import Answer, Body, DeadLetter

IDS_MAX = 200
REPLAY_MAX = 1000


def _id(value: str) -> str:
    try:
        Place.parse(value)
    except InvalidRecord as error:
        raise ValueError(str(error).removeprefix("id: ")) from None
    return value


def _time(value: str) -> str:
    try:
        filters.when("time", value)
    except InvalidRecord as error:
        raise ValueError(str(error).removeprefix("time: ")) from None
    return value


Time = Annotated[str, AfterValidator(_time)]
Id = Annotated[str, AfterValidator(_id)]


class LetterFilter(Body):
    """Which letters; all that is given must fit."""

    error_class: Literal["permanent", "transient"] | None = None
    error: str | None = Field(None, description="The exception's name, as InvalidRecord.")
    key: str | None = Field(None, description="The record's key.")
    batch: str | None = Field(None, description="The batch's id.")
    since: Time | None = Field(None, description="Died since: 2h, 7d ago, or ISO 8601 (UTC).")
    until: Time | None = Field(None, description="Died before.")


class LettersQuery(LetterFilter):
    """A list of letters."""

    topic: str | None = Field(
        None, description="By their names or those of their DLQs, comma-separated."
    )
    limit: int = Field(20, ge=1, le=500)
    all: bool = Field(False, description="Also those replayed, parked or purged.")


class ReplayBody(LetterFilter):
    """Which letters to replay: those of ``ids``, else all that match, the oldest first."""

    ids: list[Id] = Field(default_factory=list, max_length=IDS_MAX)
    topic: list[str] = Field(default_factory=list)
    again: bool = Field(False, description="Also those that were replayed already.")
    dry_run: bool = Field(False, description="Say what would be replayed, and do nothing.")
    limit: int = Field(100, ge=1, le=REPLAY_MAX, description="Letters of one request.")


class Letters(Answer):
    """The newest first."""

    letters: list[DeadLetter]


class Payload(Answer):
    """A record's value; ``hex`` of bytes that are no text, unless a secret stands in them."""

    encoding: Literal["null", "json", "text", "binary"]
    value: Any
    hex: str | None


class LetterAnswer(DeadLetter):
    """All of a letter. Secrets are masked."""

    stacktrace: str | None
    headers: list[tuple[str, str | None]]
    payload: Payload


class Replayed(Answer):
    """What became of a letter, or (dry run) would: replayed, parked, failed."""

    id: str
    action: str
    to: str | None = Field(description="The topic it was produced to.")
    key: str | None
    replays: int
    error: str | None


class ReplayAnswer(Answer):
    """What was done. ``more``: the limit was reached, and there may be others."""

    dry_run: bool
    replayed: int
    parked: int
    failed: int
    more: bool
    results: list[Replayed]
