"""One JSON value read as what a field needs, tolerantly where users differ, else refused.

Every reader takes the field's name and its value and raises `InvalidRecord` that names the field
and what was expected. ``None`` is an absent field: readers of optional fields return None for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tickertape.errors import InvalidRecord, TooLarge
from tickertape.text import blank

DEPTH_MAX = 64  # levels of metadata: far below what any JSON writer or store refuses
ID_BYTES_MAX = 1024  # ids are Kafka keys and columns of B-tree indexes
VERSION_DIGITS_MAX = 18  # fits a signed 64-bit integer
FLOAT32_MAX = 3.4028234663852886e38
_MILLISECONDS_FROM = 1e11  # in seconds this is the year 5138, in milliseconds 1973
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SURROGATES = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?")
_ISO = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[Tt ][0-9].*)?")
_WHEN = "epoch seconds, epoch milliseconds or ISO 8601"


class Kind(str):
    """A value's kind, for messages: shown without quotes, and never the value itself."""

    __slots__ = ()
    __repr__ = str.__str__


def got(value: object) -> object:
    """Return what a message shows of a JSON value: scalars as they are, containers by kind."""
    if isinstance(value, bool):
        return Kind("true" if value else "false")
    if isinstance(value, list):
        return Kind(f"an array of {len(value)}")
    if isinstance(value, dict):
        return Kind("an object")
    return value


def clean(text: str) -> str:
    """Return text that every store and client can hold.

    Lone surrogates, which UTF-8 cannot write, become U+FFFD. NUL becomes a space: SQLite's
    full-text search ends at it and PostgreSQL refuses it. The length stays.
    """
    if "\0" in text:
        text = text.replace("\0", " ")
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def identifier(name: str, value: object) -> str | None:
    """Return an id: a string, or a number as a string (1 and 1.0 are both "1").

    None where it is absent or empty.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        text = _SURROGATES.sub("\ufffd", value)
        if "\0" in text:
            raise InvalidRecord(name, "no NUL character", text)
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    elif isinstance(value, float) and math.isfinite(value):
        whole = value.is_integer() and abs(value) < 2**53
        text = str(int(value)) if whole else repr(value)
    else:
        raise InvalidRecord(name, "a string or a number", got(value))
    if len(text) * 4 > ID_BYTES_MAX and (size := len(text.encode())) > ID_BYTES_MAX:
        raise InvalidRecord(name, f"at most {ID_BYTES_MAX} bytes", Kind(f"{size} bytes"))
    return text


def content(name: str, value: object, bytes_max: int) -> str:
    """Return a text of which a reader sees something, at most ``bytes_max`` bytes of UTF-8.

    Raises:
        InvalidRecord: not a string, or nothing but spaces and invisible characters.
        TooLarge: over the limit; names TICKERTAPE_TEXT_BYTES_MAX.
    """
    if not isinstance(value, str):
        raise InvalidRecord(name, "a non-empty string", got(value))
    text = clean(value)
    if blank(text):
        raise InvalidRecord(name, "a non-empty string", text)
    check_size(name, text, bytes_max)
    return text


def check_size(name: str, text: str, bytes_max: int) -> None:
    """Raise `TooLarge` when the text is over ``bytes_max`` bytes of UTF-8."""
    if len(text) * 4 <= bytes_max:
        return
    size = len(text) if text.isascii() else len(text.encode())
    if size > bytes_max:
        raise TooLarge(
            f"{name}: {size} bytes are over the limit of {bytes_max} (TICKERTAPE_TEXT_BYTES_MAX)"
        )


def string(name: str, value: object) -> str | None:
    """Return a short free text: a string, or a number as a string; None where absent or empty."""
    if isinstance(value, str):
        return clean(value) or None
    return identifier(name, value)


def timestamp(name: str, value: object) -> float | None:
    """Return epoch seconds, rounded to microseconds.

    Reads a number of seconds or milliseconds (from 1e11 on it is milliseconds), such a number as
    a string, and ISO 8601 dates and times with ``T`` or a space, whose zone is UTC unless given.
    A string of eight digits that is a date (20240131) is one.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            moment = _moment(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            moment = _epoch(value)
        else:
            raise ValueError
        return (moment.astimezone(UTC) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        raise InvalidRecord(name, _WHEN, got(value)) from None


def _moment(text: str) -> datetime:
    if _ISO.fullmatch(text):
        try:
            found = datetime.fromisoformat(text.upper())
        except ValueError:
            if not text.isdigit():
                raise
        else:
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    if _NUMBER.fullmatch(text):
        return _epoch(float(text))
    raise ValueError


def _epoch(number: float) -> datetime:
    seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
    return _EPOCH + timedelta(seconds=seconds)


def integer(name: str, value: object, minimum: int = 0, maximum: int = 2**63 - 1) -> int | None:
    """Return a whole number within bounds; None where it is absent."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        limit = f" and at most {maximum}" if maximum < 2**63 - 1 else ""
        raise InvalidRecord(name, f"an integer of at least {minimum}{limit}", got(value))
    return value


def version(name: str, value: object) -> int | None:
    """Return an explicit version: an integer of at least 0, or its digits, up to 18 of them."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        number: object = int(value) if len(value) <= VERSION_DIGITS_MAX else None
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    else:
        number = value
    if (
        isinstance(number, int)
        and not isinstance(number, bool)
        and 0 <= number < 10**VERSION_DIGITS_MAX
    ):
        return number
    expected = f"an integer of at least 0 with at most {VERSION_DIGITS_MAX} digits"
    raise InvalidRecord(name, expected, got(value))


def number(name: str, value: object) -> float | None:
    """Return a finite number of at least 0; None where it is absent."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e300:
        raise InvalidRecord(name, "a number of at least 0", got(value))
    return float(value)


def boolean(name: str, value: object, default: bool = False) -> bool:
    """Return true or false; the default where it is absent."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidRecord(name, "true or false", got(value))
    return value


def choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return one of the choices, whatever its case."""
    if isinstance(value, str) and (found := value.strip().lower()) in choices:
        return found
    raise InvalidRecord(name, f"one of {', '.join(choices)}", got(value))


def strings(name: str, value: object) -> list[str]:
    """Return an array of strings; empty where it is absent."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRecord(name, "an array of strings", got(value))
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise InvalidRecord(f"{name}[{index}]", "a string", got(item))
    return [clean(item) for item in value]


def vector(name: str, value: object) -> list[float]:
    """Return an array of numbers that 32-bit floats can hold; empty where it is absent."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRecord(name, "an array of numbers", got(value))
    if {*map(type, value)} == {float} and _in_range(value):
        return value
    for index, item in enumerate(value):
        if type(item) not in (float, int) or not -FLOAT32_MAX <= item <= FLOAT32_MAX:
            raise InvalidRecord(f"{name}[{index}]", "a finite 32-bit number", got(item))
    return [float(item) for item in value]


def _in_range(numbers: list[float]) -> bool:
    """Whether each fits 32 bits. ``min`` and ``max`` can pass over a NaN; the sum cannot."""
    small = min(numbers) >= -FLOAT32_MAX and max(numbers) <= FLOAT32_MAX
    return small and not math.isnan(sum(numbers))


def tree(name: str, value: object) -> dict[str, Any]:
    """Return an object that every JSON writer takes, at most `DEPTH_MAX` levels deep.

    Strings and keys are cleaned; NaN and infinities become null; integers of more than 64 bits
    become strings. Empty where it is absent.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRecord(name, "an object", got(value))
    return {clean(str(key)): _safe(name, item, DEPTH_MAX - 1) for key, item in value.items()}


def _safe(name: str, value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list) and levels == 0:
        raise InvalidRecord(name, f"at most {DEPTH_MAX} levels")
    if isinstance(value, dict):
        return {clean(str(key)): _safe(name, item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_safe(name, item, levels - 1) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value
