"""Letters as people and programs see them. Secrets are masked wherever they stand.

Bytes are shown as what they are: JSON as an object, UTF-8 as text, anything else escaped and in
hex. Hex and base64 would carry a secret past the mask: where the text holds one, they are left out.
"""

from __future__ import annotations

import base64
from typing import Any

from tickertape import headers as h
from tickertape import values
from tickertape.decode import parse
from tickertape.dlq.letter import Letter
from tickertape.dlq.marks import LetterState
from tickertape.encode import iso
from tickertape.errors import PermanentError
from tickertape.mask import mask, mask_text

HEX_BYTES_MAX = 4096

Json = dict[str, Any]


def summary(letter: Letter, state: LetterState, masked: bool = True) -> Json:
    """Return what a list shows: where, when, why, how often. No payload."""
    hide = mask_text if masked else str
    reason = letter.reason
    return {
        "id": str(letter.place),
        "topic": letter.place.topic,
        "partition": letter.place.partition,
        "offset": letter.place.offset,
        "timestamp": _time(letter.timestamp_ms),
        "state": state.value,
        "key": None if letter.key is None else hide(text(letter.key)),
        "error_class": letter.error_class,
        "error": letter.error,
        "reason": None if reason is None else hide(reason),
        "batch_id": letter.batch,
        "attempts": letter.attempts,
        "replays": letter.replays,
        "edited_from": letter.header(h.EDITED_FROM),
        "original": _original(letter),
        "size": letter.size,
    }


def full(letter: Letter, state: LetterState) -> Json:
    """Return all of it, for reading: with headers, stack trace, and the payload."""
    stacktrace = letter.header(h.DLT_STACKTRACE)
    return {
        **summary(letter, state),
        "stacktrace": None if stacktrace is None else mask_text(stacktrace),
        "headers": [
            [h.shown(name), None if value is None else _header(name, value)]
            for name, value in letter.headers
            if name != h.DLT_STACKTRACE
        ],
        "payload": payload(letter.value),
    }


def exported(letter: Letter, state: LetterState, masked: bool) -> Json:
    """Return all of it, for keeping: a payload that is not UTF-8 is base64."""
    return {
        **summary(letter, state, masked),
        "headers": [
            [
                h.shown(name),
                None if value is None else (_header(name, value) if masked else text(value)),
            ]
            for name, value in letter.headers
        ],
        "payload": _kept(letter.value, masked),
    }


def payload(value: bytes | None) -> Json:
    """Return {encoding: null|json|text|binary, value, hex}; ``hex`` only of binary ones."""
    if value is None:
        return {"encoding": "null", "value": None, "hex": None}
    tree = _tree(value)
    if tree is not None:
        return {"encoding": "json", "value": mask(tree), "hex": None}
    plain = text(value)
    hidden = mask_text(plain)
    if _is_text(value):
        return {"encoding": "text", "value": hidden, "hex": None}
    cut = value[:HEX_BYTES_MAX].hex(" ") + (" ..." if len(value) > HEX_BYTES_MAX else "")
    return {"encoding": "binary", "value": hidden, "hex": cut if hidden == plain else None}


def text(raw: bytes) -> str:
    """Return bytes as text; what is not UTF-8 as escapes (``\\xff``)."""
    return raw.decode("utf-8", "backslashreplace")


def _kept(value: bytes | None, masked: bool) -> Json:
    if masked:
        shown = payload(value)
        if shown["encoding"] != "binary":
            return {"encoding": shown["encoding"], "value": shown["value"]}
        if shown["hex"] is None:
            return {"encoding": "text", "value": shown["value"]}
    if value is None:
        return {"encoding": "null", "value": None}
    # As text, not as an object: the very bytes come back.
    if _is_text(value):
        return {"encoding": "text", "value": text(value)}
    return {"encoding": "base64", "value": base64.b64encode(value).decode()}


def _tree(value: bytes) -> Json | None:
    """The JSON object, safe for any writer; None where it is none, or too deep to show."""
    try:
        return values.tree("payload", parse(value))
    except PermanentError:
        return None


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False


def _header(name: str, value: bytes) -> str:
    """A header may be called as a secret is."""
    shown: str = mask({name: text(value)})[name]
    return shown


def _original(letter: Letter) -> Json:
    stamped = h.read_int(letter.headers, h.DLT_TIMESTAMP, -1)
    origin = letter.origin
    return {
        "topic": origin.topic if origin else letter.header(h.DLT_TOPIC),
        "partition": origin.partition if origin else None,
        "offset": origin.offset if origin else None,
        "timestamp": _time(stamped),
    }


def _time(milliseconds: int) -> str | None:
    """A producer's clock may say anything, and Kafka says -1 where there is no time."""
    try:
        return iso(milliseconds / 1000) if milliseconds >= 0 else None
    except OverflowError:
        return None
