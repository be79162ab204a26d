"""The fields of a row as a text with their labels, and the rest as metadata. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from typing import Any

from tickertape.text import blank
from tickertape.values import clean

VALUE_CHARACTERS_MAX = 500  # of a field that is text and metadata as well


def labelled(row: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Return these fields, each on a line behind its name; one alone stands without it. What is
    empty is left out."""
    found = [(name, said(row[name])) for name in fields if row.get(name) is not None]
    found = [(name, text) for name, text in found if not blank(text)]
    if len(fields) == 1:
        return found[0][1] if found else ""
    return "\n".join(f"{name.replace('_', ' ')}: {text}" for name, text in found)


def rest(row: Mapping[str, Any], text_fields: Sequence[str]) -> dict[str, Any]:
    """Return what is metadata: every field that is not text; short ones also where they are, if
    all fields are."""
    everything = set(text_fields) >= set(row)
    found = {}
    for name, value in row.items():
        if value is None or (name in text_fields and not everything):
            continue
        made = plain(value)
        if everything and isinstance(made, str) and len(made) > VALUE_CHARACTERS_MAX:
            continue
        found[clean(name)] = made
    return found


def said(value: Any) -> str:
    """Return a value as a reader expects it."""
    made = plain(value)
    if isinstance(made, list):
        return ", ".join(map(said, made))
    if isinstance(made, dict):
        return "; ".join(f"{name}: {said(inner)}" for name, inner in made.items())
    if isinstance(made, bool):
        return "true" if made else "false"
    return "" if made is None else str(made)


def plain(value: Any) -> Any:
    """Return a value that JSON takes. A decimal keeps its digits; bytes are text, or base64."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        exact = float(value) if value.is_finite() else None
        return exact if exact is not None and Decimal(repr(exact)) == value else str(value)
    if isinstance(value, datetime | date | clock):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        try:
            return clean(data.decode("utf-8"))
        except UnicodeDecodeError:
            return base64.b64encode(data).decode()
    if isinstance(value, Mapping):
        return {clean(str(name)): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return clean(str(value))
