"""A filter as people write it in a line: ``published>=2024-01-01``, ``company~micro``. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from tickertape.errors import InvalidRecord

_SIGN = re.compile(r"[<>]=?|[=~]")
_KINDS = {">=": "gte", ">": "gt", "<=": "lte", "<": "lt", "~": "contains"}
EXPECTED = "FIELD=VALUE, or with >=, >, <=, < and a number or a date, or ~ and part of a text"


def filters(lines: Iterable[str]) -> dict[str, Any]:
    """Return these filters as `tickertape.search` takes them: comparisons of one field together,
    and of several values one.

    Raises:
        InvalidRecord: a line is no filter, or a field is both compared and to be equal.
    """
    found: dict[str, Any] = {}
    for line in lines:
        match = _SIGN.search(line)
        name = line[: match.start()].strip() if match else ""
        if match is None or not name:
            raise InvalidRecord("filter", EXPECTED, line)
        sign, text = match[0], line[match.end() :].strip()
        there = found.setdefault(name, [] if sign == "=" else {})
        if isinstance(there, list) != (sign == "="):
            raise InvalidRecord(f"filters.{name}", "comparisons or values, not both")
        if isinstance(there, list):
            there += _typed(text)
        elif _KINDS[sign] in there:
            raise InvalidRecord(f"filters.{name}", f"{sign} once")
        else:
            there[_KINDS[sign]] = text
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in found.items()
    }


def _typed(text: str) -> list[Any]:
    """A line has no types: ``2024`` may be stored as a text or as a number."""
    try:
        value = json.loads(text)
    except ValueError:
        return [text]
    return [text, value] if isinstance(value, bool | int | float) else [text]
