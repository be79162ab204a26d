"""Bytes of a record to fields. Pure; raises nothing but the permanent errors.

`parse` turns bytes into an object, `Fields` hands its fields out one by one, each once; what
nobody asked for becomes metadata.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from tickertape import envelopes, values
from tickertape import headers as h
from tickertape.documents import anonymous_id
from tickertape.errors import InvalidRecord, PermanentError, TooLarge, Undecodable
from tickertape.record import Record
from tickertape.versions import Version

_FAUST = "__faust"  # what Faust's own serialiser adds to a record
_LONG_INTEGER = re.compile(rb"[0-9]{19}")  # orjson reads what exceeds 64 bits as a float
_KINDS = {
    type(None): "null",
    bool: "a boolean",
    str: "a string",
    int: "a number",
    float: "a number",
    list: "an array",
}
_FALSE = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused as too large. ``text_bytes_max`` holds for the text and for the metadata."""

    text_bytes_max: int = 2**20


def parse(value: bytes | None) -> dict[str, Any]:
    """Return the JSON object that a record's value holds.

    What strict JSON refuses but producers send is read too: NaN and infinities, lone surrogate
    escapes, a byte order mark, integers of any size.

    Raises:
        Undecodable: no value, not UTF-8, not JSON, or JSON that is not an object.
    """
    if not value:
        raise Undecodable("the record has no value" if value is None else "the value is empty")
    tree = _loads(value)
    if not isinstance(tree, dict):
        raise Undecodable(f"expected a JSON object, got {_KINDS[type(tree)]}")
    tree.pop(_FAUST, None)
    return tree


def _loads(value: bytes) -> Any:
    if not _LONG_INTEGER.search(value):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            pass  # the slow reader takes more, and says what is wrong
    if wide := _wide(value):
        with suppress(ValueError, RecursionError):  # what is wrong is said below
            return json.loads(value.decode(wide))
    try:
        return json.loads(value.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        hint = _hint(value)
        raise Undecodable(f"not UTF-8: {error.reason} at byte {error.start}{hint}") from None
    except RecursionError:
        raise Undecodable("not JSON we can read: nested too deep") from None
    except ValueError as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else "number too long"
        raise Undecodable(f"not JSON: {reason}{_hint(value)}") from None


def _wide(value: bytes) -> str | None:
    """The kind of UTF-16 that a byte order mark, or every other byte, shows; else None."""
    if value[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    head = [byte == 0 for byte in value[:4]]
    if head == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if head == [True, False, True, False] else None


def _hint(value: bytes) -> str:
    found = envelopes.of_bytes(value)
    return f" ({found})" if found else ""


def key_text(record: Record) -> str | None:
    """Return the record's key as an id: its text, or its hex digits where it is not text.

    None where there is no key. A key with NUL is binary (a Java long), not text.

    Raises:
        InvalidRecord: the key is longer than an id may be.
    """
    if not record.key:
        return None
    try:
        text = record.key.decode()
    except UnicodeDecodeError:
        text = "\0"
    return values.identifier("key", record.key.hex() if "\0" in text else text)


def record_id(value: object, record: Record, name: str = "id") -> str:
    """Return a record's id: the field, else its key, else uuid5 of where it stands.

    Raises:
        InvalidRecord: the field or the key cannot be an id.
    """
    return values.identifier(name, value) or key_text(record) or anonymous_id(record.origin)


def forced(record: Record) -> bool:
    """Return whether the header ``tickertape-force`` asks to compute again."""
    value = record.header(h.FORCE)
    return value is not None and value.strip().lower() not in _FALSE


def explicit_version(number: int | None, record: Record) -> Version:
    """Return the version of a record: its explicit number, if any, and when it was said."""
    return Version(() if number is None else (number,), record.stamp)


def peek(record: Record) -> tuple[str | None, str | None]:
    """Return (id, batch_id) as far as they can be read, of a record that may be broken.

    For dead letters and progress: a record whose text is wrong still counts in its batch.
    The header ``tickertape-batch`` stands in for a payload that cannot be read. Never raises.
    """
    try:
        tree: Mapping[str, Any] = parse(record.value)
    except PermanentError:
        tree = {}
    found: list[str | None] = []
    for value in (tree.get("id", tree.get("document_id")), tree.get("batch_id")):
        try:
            found.append(values.identifier("", value))
        except InvalidRecord:
            found.append(None)
    try:
        key = key_text(record)
    except InvalidRecord:
        key = None
    return found[0] or key, found[1] or record.header(h.BATCH)


class Fields:
    """A record's fields, each handed out once. What is left becomes metadata."""

    __slots__ = ("_envelope", "_left", "_limits", "record")

    def __init__(self, record: Record, limits: Limits) -> None:
        """Parse the record's value.

        Raises:
            Undecodable: see `parse`.
        """
        self.record = record
        self._limits = limits
        self._left = parse(record.value)
        self._envelope = envelopes.of_fields(self._left)

    def take(self, name: str) -> Any:
        """Return the field's value as it came, None where it is absent."""
        return self._left.pop(name, None)

    def id(self, name: str = "id") -> str:
        """Return the record's id (see `record_id`)."""
        return record_id(self.take(name), self.record, name)

    def identifier(self, name: str) -> str | None:
        """Return an optional id-like field."""
        return values.identifier(name, self.take(name))

    def string(self, name: str) -> str | None:
        """Return an optional short text."""
        return values.string(name, self.take(name))

    def text(self, name: str, *also: str) -> str:
        """Return the text, under the first of the names that is there."""
        for other in (name, *also):
            if self._left.get(other) is not None:
                return values.content(other, self.take(other), self._limits.text_bytes_max)
        raise self.missing(name, "a non-empty string")

    def missing(self, name: str, expected: str) -> InvalidRecord:
        """Return the error of a field that is not there: it says what the record looks like."""
        hint = f" (it looks like {self._envelope})" if self._envelope else ""
        return InvalidRecord(name, f"{expected}{hint}")

    def optional_text(self, name: str) -> str | None:
        """Return a text that may be absent or empty (None); its size is limited as a text's."""
        value = self.take(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise InvalidRecord(name, "a string", values.got(value))
        text = values.clean(value)
        values.check_size(name, text, self._limits.text_bytes_max)
        return text

    def timestamp(self, name: str = "timestamp") -> float | None:
        """Return an optional time in epoch seconds."""
        return values.timestamp(name, self.take(name))

    def integer(self, name: str, default: int = 0) -> int:
        """Return a count of at least 0; the default where it is absent."""
        found = values.integer(name, self.take(name))
        return default if found is None else found

    def version(self) -> int | None:
        """Return the explicit version, None where there is none."""
        return values.version("version", self.take("version"))

    def vector(self, name: str) -> list[float]:
        """Return a vector, empty where it is absent."""
        return values.vector(name, self.take(name))

    def metadata(self) -> dict[str, Any]:
        """Return ``metadata`` and every field not taken yet; on a clash ``metadata`` wins.

        Raises:
            InvalidRecord: metadata is not an object, or too deep.
            TooLarge: metadata is over the limit; names its setting.
        """
        explicit = values.tree("metadata", self.take("metadata"))
        found = values.tree("metadata", self._left) | explicit if self._left else explicit
        self._left = {}
        limit = self._limits.text_bytes_max
        if self.record.size > limit and (size := len(orjson.dumps(found))) > limit:
            raise TooLarge(
                f"metadata: {size} bytes are over the limit of {limit} (TICKERTAPE_TEXT_BYTES_MAX)"
            )
        return found
