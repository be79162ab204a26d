"""Fields of a document as pydantic types. They are checked by the decoder's own readers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from tickertape import values
from tickertape.errors import InvalidRecord


def _read(reader: Callable[[str, object], object]) -> BeforeValidator:
    """Check with the very reader that the topic's decoder uses."""

    def validate(value: object) -> object:
        try:
            return reader("", value)
        except InvalidRecord as error:
            raise ValueError(str(error).removeprefix(": ")) from None

    return BeforeValidator(validate)


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
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": "\\S"}),
]
