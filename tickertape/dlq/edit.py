"""A letter's payload changed for its replay. The letter itself stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tickertape import values
from tickertape.decode import parse
from tickertape.errors import InvalidRecord, PermanentError

Edit = Callable[[bytes | None], bytes]


def setting(assignments: Sequence[str]) -> Edit:
    """Return the edit that sets fields: each is ``field=JSON``.

    Raises:
        InvalidRecord: not a field and a JSON value.
    """
    fields = dict(_assignment(text) for text in assignments)

    def edit(value: bytes | None) -> bytes:
        if value is None:
            raise InvalidRecord("payload", "a JSON object to set fields of, got a delete")
        return encode({**parse(value), **fields})

    return edit


def replacing(text: str) -> Edit:
    """Return the edit that puts this JSON object in the payload's place.

    Raises:
        InvalidRecord: not a JSON object.
    """
    try:
        tree = parse(text.encode("utf-8", "surrogatepass"))
    except PermanentError as error:
        raise InvalidRecord("payload", f"a JSON object ({error})") from None
    return lambda _value: encode(tree)


def editable(value: bytes | None) -> str:
    """Return the payload as text for an editor: JSON laid out, else as far as it is text.

    Raises:
        InvalidRecord: a delete has no payload.
    """
    if value is None:
        raise InvalidRecord("payload", "a record with a value, got a delete")
    try:
        return json.dumps(parse(value), indent=2, ensure_ascii=False) + "\n"
    except PermanentError:
        return value.decode("utf-8", "replace")


def kept_in_batch(value: bytes, batch: str | None) -> bytes:
    """Return the payload with its batch's id, where the letter's batch waits for it.

    Raises:
        InvalidRecord: the payload names another batch.
    """
    if batch is None:
        return value
    tree = parse(value)
    named = values.identifier("batch_id", tree.get("batch_id"))
    if named is None:
        return encode({**tree, "batch_id": batch})
    if named != batch:
        raise InvalidRecord("batch_id", f"{batch!r}, the batch that waits for it", named)
    return value


def encode(tree: Mapping[str, Any]) -> bytes:
    """Return JSON that reads back as the same values, also those that strict JSON refuses."""
    try:
        return json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(tree).encode()  # a lone surrogate stays an escape


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, raw = text.partition("=")
    name = name.strip()
    if not name or not equals:
        raise InvalidRecord("--set", "FIELD=JSON", text)
    try:
        return name, json.loads(raw)
    except ValueError:
        raise InvalidRecord("--set", f"JSON after {name}=, a text in double quotes", raw) from None
