"""Fields of a document as pydantic types. They are checked by the decoder's own readers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from tickertape import values
from tickertape.errors import InvalidRecord
from tickertape.search import (
    FILTER_VALUES_MAX,
    FILTERS_MAX,
    QUERY_CHARACTERS_MAX,
    check_filters,
)
from tickertape.stores.conditions import BOUND_PATTERN, CONTAINS, ORDER, PART_CHARACTERS_MAX
from tickertape.text import VISIBLE_PATTERN, blank


def _read(reader: Callable[[str, object], object]) -> BeforeValidator:
    """Check with the very reader that the topic's decoder uses."""

    def validate(value: object) -> object:
        try:
            return reader("", value)
        except InvalidRecord as error:
            raise ValueError(str(error).removeprefix(": ")) from None

    return BeforeValidator(validate)


CHOICES = "x-choices"
_FLAGS = {"true": True, "false": False, "1": True, "0": False}
_TEXT_OR_NUMBER = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}

Id = Annotated[str | None, _read(values.identifier), WithJsonSchema(_TEXT_OR_NUMBER)]
Short = Annotated[str | None, _read(values.string), WithJsonSchema(_TEXT_OR_NUMBER)]
Ts = Annotated[float | None, _read(values.timestamp), WithJsonSchema(_TEXT_OR_NUMBER)]
Number = Annotated[
    int | None,
    _read(values.version),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}),
]
Tree = Annotated[
    dict[str, Any],
    _read(values.tree),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "null"}]}),
]
Text = Annotated[
    str,
    _read(lambda name, value: values.content(name, value, sys.maxsize)),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": VISIBLE_PATTERN}),
]


def _question(value: str) -> str:
    if blank(value):
        raise ValueError("expected a text")
    if len(value) > QUERY_CHARACTERS_MAX:
        raise ValueError(f"expected at most {QUERY_CHARACTERS_MAX} characters, got {len(value)}")
    return value


Question = Annotated[
    str,
    AfterValidator(_question),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": QUERY_CHARACTERS_MAX,
            "pattern": VISIBLE_PATTERN,
        }
    ),
]


def choices(name: str) -> dict[str, Any]:
    """Return what says that a field takes the settings' names of this kind (`web.choices`)."""
    return {CHOICES: name}


def _flag(value: object) -> object:
    """True and false of a query string. ``yes`` and the like are not taken by halves."""
    if isinstance(value, str):
        if value.lower() not in _FLAGS:
            raise ValueError(f"expected one of {', '.join(_FLAGS)}")
        return _FLAGS[value.lower()]
    return value


def _filters(value: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        check_filters(value)
    except InvalidRecord as error:
        raise ValueError(str(error)) from None
    return value


def _whole(value: object) -> object:
    """JSON has one kind of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[
    bool,
    BeforeValidator(_flag),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": ["1", "0"]}]}),
]
_BOUND = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": BOUND_PATTERN}]}
_SCALAR = {"type": ["string", "number", "boolean", "null"]}
Filters = Annotated[
    dict[str, Any],
    AfterValidator(_filters),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": FILTERS_MAX,
            "additionalProperties": {
                "anyOf": [
                    _SCALAR,
                    {"type": "array", "items": _SCALAR, "maxItems": FILTER_VALUES_MAX},
                    {
                        "type": "object",
                        "description": "Comparisons that one value of the field passes.",
                        "properties": dict.fromkeys(ORDER, _BOUND)
                        | {
                            CONTAINS: {
                                "type": "string",
                                "maxLength": PART_CHARACTERS_MAX,
                                "pattern": VISIBLE_PATTERN,
                            }
                        },
                        "additionalProperties": False,
                        "minProperties": 1,
                        "examples": [{"gte": "2024-01-01", "lt": "2025"}],
                    },
                ]
            },
        }
    ),
]
