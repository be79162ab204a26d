"""What a filter asks of one metadata field, and whether a value is that. Pure.

A filter is a value, a list of values of which one must be there, or an object of comparisons that
must all hold for one value: ``gte``, ``gt``, ``lte``, ``lt`` with a number or a date, ``contains``
with part of a text. A store that looks values up in an index gives those that a field has to
`Condition.chosen`; one that has the metadata at hand asks `matches`.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tickertape.errors import InvalidRecord
from tickertape.stores.metadata import canonical, is_digest, leaves, short
from tickertape.text import comparable

ORDER = ("gte", "gt", "lte", "lt")
CONTAINS = "contains"
PART_CHARACTERS_MAX = 200  # folding a long one would hold the loop
COMPARISONS = (*ORDER, CONTAINS)
_EXPECTED = f"a value, a list of values, or an object of {', '.join(COMPARISONS)}"

# From a year to a microsecond; a date's end is the beginning of the next.
_DATE = re.compile(
    r"(\d{4})(?:-?(\d\d)(?:-?(\d\d)(?:[Tt ](\d\d:?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?)"
    r"\s?([Zz]|[+-]\d\d:?(?:\d\d)?)?)?)?)?"
)
# The same for other engines: what a JSON Schema says of a bound that is a text
BOUND_PATTERN = (
    "^(?:-?[0-9]{1,15}(?:[.][0-9]{1,9})?|(?:19|20)[0-9]{2}(?:-(?:0[1-9]|1[0-2])"
    "(?:-(?:0[1-9]|[12][0-9]|3[01])(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
    "(?:Z|[+-](?:0[0-9]|1[0-2]):[0-5][0-9])?)?)?)?)$"
)
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_FROM, _MILLISECONDS_FROM = 1e8, 1e11  # numbers that may be times, from 1973 on

Span = tuple[float, float]  # epoch seconds: from, until


@dataclass(frozen=True, slots=True)
class _Bound:
    """One comparison of order. ``span`` is the bound as a time, ``number`` as a number."""

    kind: str
    number: float | None
    span: Span | None

    def holds(self, value: str) -> bool:
        number, span = _number(value), None
        if self.span is not None:
            span = _span(value) or (_stamp(number) if self.number is None else None)
        if span is not None and self.span is not None:
            start, end = self.span
            return self._order(span[0], start, end)
        if number is not None and self.number is not None:
            return self._order(number, self.number, None)
        return False

    def _order(self, value: float, start: float, end: float | None) -> bool:
        """``end``: of a bound that is a stretch of time, as a day is; it belongs to it whole."""
        match self.kind:
            case "gte":
                return value >= start
            case "gt":
                return value > start if end is None else value >= end
            case "lte":
                return value <= start if end is None else value < end
            case _:
                return value < start


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter on the field ``name``. ``equal``: canonical values of which one must be there; None
    where the field's values are compared instead."""

    name: str
    equal: Sequence[str] | None
    bounds: Sequence[_Bound] = ()
    parts: Sequence[str] = ()

    def holds(self, value: str) -> bool:
        """Tell whether this canonical value is what is asked for."""
        if self.equal is not None:
            return value in self.equal
        if is_digest(value):
            return False  # of what the text says it has nothing
        if not all(bound.holds(value) for bound in self.bounds):
            return False
        return not self.parts or all(part in folded(value) for part in self.parts)

    def chosen(self, values: Iterable[str]) -> list[str]:
        """Return those of a field's values that are what is asked for."""
        return [value for value in values if self.holds(value)]


def condition(name: str, value: Any) -> Condition:
    """Return a filter as stores ask it.

    Raises:
        InvalidRecord: it is no filter; names the field.
    """
    field = f"filters.{name}"
    if isinstance(value, Mapping):
        return _compared(name, field, value)
    several = value if isinstance(value, list | tuple | set | frozenset) else [value]
    try:
        return Condition(short(name), [canonical(one) for one in several])
    except TypeError as error:
        raise InvalidRecord(field, _EXPECTED, value) from error


def matches(metadata: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    """Tell whether a document with this metadata passes all of these filters."""
    if not filters:
        return True
    there: dict[str, list[str]] = {}
    for name, value in leaves(metadata):
        there.setdefault(name, []).append(value)
    asked = (condition(name, value) for name, value in filters.items())
    return all(any(map(one.holds, there.get(one.name, ()))) for one in asked)


def folded(text: str) -> str:
    """Return the text in the form in which a part of it is looked for."""
    return comparable(text).text.casefold()


def _compared(name: str, field: str, value: Mapping[str, Any]) -> Condition:
    unknown = [str(kind) for kind in value if kind not in COMPARISONS]
    if unknown or not value:
        raise InvalidRecord(field, _EXPECTED, ", ".join(unknown) or "an empty object")
    bounds = [_bound(f"{field}.{kind}", kind, value[kind]) for kind in ORDER if kind in value]
    parts = []
    if CONTAINS in value:
        part = value[CONTAINS]
        if not isinstance(part, str) or not part.strip():
            raise InvalidRecord(f"{field}.{CONTAINS}", "part of a text", part)
        if len(part) > PART_CHARACTERS_MAX:
            expected = f"at most {PART_CHARACTERS_MAX} characters"
            raise InvalidRecord(f"{field}.{CONTAINS}", expected, len(part))
        parts = [folded(part.strip())]
    return Condition(short(name), None, bounds, parts)


def _bound(field: str, kind: str, value: Any) -> _Bound:
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            if math.isfinite(found := float(value)):
                return _Bound(kind, found, None)
    elif isinstance(value, str):
        text = value.strip()
        number, span = _number(text), _span(text)
        if number is not None or span is not None:
            return _Bound(kind, number, span)
    raise InvalidRecord(field, "a number or a date", value)


def _number(text: str) -> float | None:
    return float(text) if len(text) < 64 and _NUMBER.fullmatch(text) else None


def _stamp(number: float | None) -> Span | None:
    """A number that is epoch seconds or milliseconds, as a time."""
    if number is None or number < _SECONDS_FROM:
        return None
    seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
    return seconds, seconds


def _span(text: str) -> Span | None:
    """The time that a date says: a year, a month, a day, a moment (UTC where no zone is said)."""
    if len(text) > 48 or (found := _DATE.fullmatch(text)) is None:
        return None
    year, month, day, clock, zone = found.groups()
    try:
        start = datetime(int(year), int(month or 1), 1, tzinfo=UTC)
        if day:  # the 31st of June is its last day
            if not 1 <= int(day) <= 31:
                return None
            last = calendar.monthrange(start.year, start.month)[1]
            start = start.replace(day=min(int(day), last))
        if clock:
            at = f"{start:%Y-%m-%d}T{clock.replace(',', '.')}{(zone or 'Z').upper()}"
            return (_seconds(datetime.fromisoformat(at)),) * 2
    except (ValueError, OverflowError):
        return None
    end = datetime.max.replace(tzinfo=UTC)
    with suppress(ValueError, OverflowError):  # nothing is after 9999
        if day:
            end = start + timedelta(days=1)
        elif month:
            end = (start + timedelta(days=31)).replace(day=1)
        else:
            end = start.replace(year=start.year + 1)
    return _seconds(start), _seconds(end)


def _seconds(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds()
