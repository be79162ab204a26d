"""What is asked of dead letters, and what is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from tickertape.dlq import filters
from tickertape.dlq.letter import Place
from tickertape.errors import InvalidRecord
from web.body import Answer, Body
from web.fields import Flag, Whole, choices

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


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [name.strip() for name in value.split(",") if name.strip()]


Names = Annotated[
    list[Annotated[str, Field(json_schema_extra=choices("letters"))]], BeforeValidator(_names)
]
Time = Annotated[
    str,
    AfterValidator(_time),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[0-9]{1,9}(\\.[0-9]{1,9})?[smhdw]$"},
                {"type": "string", "format": "date-time"},
                {"type": "string", "format": "date"},
                {"type": "string", "pattern": "^[0-9]{1,9}(\\.[0-9]{1,9})?$"},
            ]
        }
    ),
]
Id = Annotated[
    str,
    AfterValidator(_id),
    WithJsonSchema(
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,249}/[0-9]{1,18}/[0-9]{1,18}$"}
    ),
]


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

    topic: Names = Field(
        default_factory=list,
        description="By their names or those of their DLQs, comma-separated.",
    )
    limit: Whole = Field(20, ge=1, le=500)
    any_state: Flag = Field(
        False,
        description="Also those replayed, parked or purged.",
        validation_alias=AliasChoices("any_state", "all"),
    )


FILTERS = (*LetterFilter.model_fields, "topic")


def _says_which(schema: dict[str, Any]) -> None:
    """Ids alone, or filters, or all: never everything by leaving things out."""

    def given(name: str) -> dict[str, Any]:
        some = {"minItems": 1} if name in {"ids", "topic"} else {"not": {"type": "null"}}
        return {"required": [name], "properties": {name: some}}

    everything = {"required": ["all"], "properties": {"all": {"const": True}}}
    matching = [given(name) for name in FILTERS]
    schema["oneOf"] = [given("ids"), {"anyOf": [everything, *matching]}]
    schema["examples"] = [{"batch": "b-17", "limit": 100, "dry_run": True}]


class ReplayBody(LetterFilter):
    """Which letters to replay, the oldest first: those of ``ids``, those that match, or ``all``."""

    model_config = ConfigDict(json_schema_extra=_says_which)

    ids: list[Id] = Field(default_factory=list, max_length=IDS_MAX)
    topic: list[Annotated[str, Field(json_schema_extra=choices("letters"))]] = Field(
        default_factory=list
    )
    all: bool = Field(False, description="All that are open, where there are no ids or filters.")
    again: bool = Field(False, description="Also those that were replayed already.")
    dry_run: bool = Field(False, description="Say what would be replayed, and do nothing.")
    limit: Whole = Field(100, ge=1, le=REPLAY_MAX, description="Letters of one request.")

    @model_validator(mode="after")
    def _which(self) -> ReplayBody:
        some = any(getattr(self, name) not in (None, []) for name in FILTERS)
        if self.ids and (some or self.all):
            raise ValueError("ids: expected no filters and no all beside them")
        if not (self.ids or some or self.all):
            raise ValueError(f"expected ids, a filter ({', '.join(FILTERS)}), or all: true")
        return self


class Original(Answer):
    """Where a record first stood."""

    topic: str | None
    partition: int | None
    offset: int | None
    timestamp: str | None


class DeadLetter(Answer):
    """A record that could not be processed, and why."""

    id: str = Field(description="topic/partition/offset of the letter.")
    topic: str
    partition: int
    offset: int
    timestamp: str | None = Field(description="When it died.")
    state: Literal["open", "replayed", "parked", "purged"]
    key: str | None
    error_class: str | None = Field(description="permanent or transient.")
    error: str | None
    reason: str | None
    batch_id: str | None
    attempts: int = Field(description="Retries before it died.")
    replays: int
    edited_from: str | None = Field(description="The letter whose edited replay this was.")
    original: Original
    size: int = Field(description="Bytes of key and value.")


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
