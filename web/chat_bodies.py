"""What is said in a conversation, and what is kept of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from tickertape.history import BYTES_MAX, TURNS_MAX
from tickertape.text import VISIBLE_PATTERN, blank
from web.ask_bodies import AskAnswer
from web.body import Answer, Body
from web.fields import Filters, Question, Ts, Whole

USER_CHARACTERS_MAX = 200
SECOND_NAMES = (("user_name", "user"), ("question", "message"))


def _user(value: str) -> str:
    if blank(value):
        raise ValueError("expected a name")
    if len(value) > USER_CHARACTERS_MAX:
        raise ValueError(f"expected at most {USER_CHARACTERS_MAX} characters, got {len(value)}")
    return value


UserName = Annotated[
    str,
    AfterValidator(_user),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": USER_CHARACTERS_MAX,
            "pattern": VISIBLE_PATTERN,
        }
    ),
]


def _names(schema: dict[str, Any]) -> None:
    """Document the second names; one of each pair must be there."""
    fields = schema["properties"]
    for first, second in SECOND_NAMES:
        fields[second] = {**fields[first], "description": f"The same as {first}."}
    schema.pop("required", None)
    schema["allOf"] = [
        {"oneOf": [{"required": [first]}, {"required": [second]}]} for first, second in SECOND_NAMES
    ]
    schema["examples"] = [{"user_name": "ada", "question": "Who raised the outlook?"}]


class ChatBody(Body):
    """A question of a conversation. ``user`` is ``user_name``, ``message`` is ``question``."""

    model_config = ConfigDict(json_schema_extra=_names)

    user_name: UserName = Field(
        description="Whose conversation: a name is all that tells two apart.",
        validation_alias=AliasChoices("user_name", "user"),
    )
    question: Question = Field(
        description="What is asked.", validation_alias=AliasChoices("question", "message")
    )
    k: Whole = Field(6, ge=1, le=50, description="Passages to answer from, at most.")
    mode: Literal["hybrid", "dense", "keyword"] = Field("hybrid", description="As for /search.")
    filters: Filters = Field(default_factory=dict, description="As for /search.")
    collection: str | None = Field(None, description="Answer from one collection only.")

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, given: Any) -> Any:
        for first, second in SECOND_NAMES if isinstance(given, dict) else ():
            if first in given and second in given:
                raise ValueError(f"expected {first} or {second}, not both")
        return given


class ChatAnswer(AskAnswer):
    """An answer, kept in the user's conversation; also the event ``done``."""

    user_name: str


class HistoryItem(Body):
    """What one side said."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1, max_length=BYTES_MAX)
    timestamp: Ts = Field(None, description="When; now, where it is not given.")


class HistoryBody(Body):
    """A conversation that stands for the one that is there."""

    items: list[HistoryItem] = Field(max_length=TURNS_MAX)


class HistoryTurn(Answer):
    """What one side said, and when (ISO 8601, UTC)."""

    role: str
    content: str
    timestamp: str


class HistoryAnswer(Answer):
    """A conversation, the oldest first."""

    user_name: str
    items: list[HistoryTurn]
