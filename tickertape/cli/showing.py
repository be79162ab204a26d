"""Records as people read them: one line, and the text below where there is one. No secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from tickertape import headers as h
from tickertape.batches import OUTCOMES
from tickertape.decode import parse
from tickertape.errors import InvalidRecord, Undecodable
from tickertape.mask import mask, mask_text
from tickertape.values import timestamp

NUMBERS_MAX = 8  # a longer array of numbers is shown by its length
LINE_CHARS_MAX = 400
TEXT_CHARS_MAX = 160
# What a terminal would obey: a record may come from anyone
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A record as it came from Kafka. ``timestamp_ms`` is Kafka's."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def as_json(record: Shown) -> str:
    """Return the record as one line of JSON, secrets masked. Bytes that are no JSON are text."""
    tree = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "key": _text(record.key),
        "headers": {h.shown(name): mask_text(_text(value) or "") for name, value in record.headers},
        "value": mask(_value(record.value)),
    }
    try:
        return orjson.dumps(tree).decode()
    except TypeError:  # integers of more than 64 bits, lone surrogates
        return json.dumps(tree)


def pretty(record: Shown, kind: str | None) -> str:
    """Return the record for a terminal, by its topic's kind (``llm_results``)."""
    value = _value(record.value)
    failed = h.last(record.headers, h.DLT_EXCEPTION)
    if failed is not None:
        reason = h.last(record.headers, h.DLT_MESSAGE) or ""
        body = f"{_text(record.key) or '-'}  {failed.rpartition('.')[2]}: {mask_text(reason)}"
    elif value is None:
        body = f"{_text(record.key) or '-'}  deleted"
    elif isinstance(value, dict):
        body = _FORMATS.get(kind or "", _other)(record, mask(value))
    else:
        body = f"{_text(record.key) or '-'}  {_cut(mask_text(str(value)), LINE_CHARS_MAX)}"
    return plain(f"{_time(record, value)}  {body}")


def plain(text: str) -> str:
    """Return text without what a terminal would obey; lines and tabs stay."""
    return _CONTROL.sub("\ufffd", text)


def _summary(record: Shown, value: Json) -> str:
    tokens = f"{_n(value, 'prompt_tokens')}+{_n(value, 'completion_tokens')} tokens"
    seconds = value.get("processing_time")
    took = f"{seconds:.2f} s" if isinstance(seconds, int | float) else "-"
    parts = [_id(record, value), str(value.get("status")), took, tokens]
    parts.append(str(value.get("model_name")))
    if value.get("unchanged"):
        parts.append("unchanged")
    text = str(value.get("summary") or value.get("error") or "")
    return "  ".join(parts) + _below(text)


def _embedding(record: Shown, value: Json) -> str:
    vector = value.get("embedding")
    size = len(vector) if isinstance(vector, list) else 0
    chunk = f"chunk {_n(value, 'chunk') + 1} of {value.get('chunk_count') or 1}"
    text = str(value.get("original_text") or value.get("text") or "")
    line = f"{_id(record, value)}  {size} dimensions  {chunk}  {value.get('model_name') or '-'}"
    return line + _below(_cut(text, TEXT_CHARS_MAX))


def _status(record: Shown, value: Json) -> str:
    total = value.get("total_documents")
    of = f"{_n(value, 'processed_documents')}/{'?' if total is None else total}"
    counts = ", ".join(f"{value[name]} {name}" for name in OUTCOMES if value.get(name))
    batch = str(value.get("batch_id") or _text(record.key) or "-")
    line = "  ".join(part for part in (batch, str(value.get("status")), of, counts) if part)
    return line + _below(str(value.get("error_message") or ""))


def _document(record: Shown, value: Json) -> str:
    text = str(value.get("text") or value.get("content") or "")
    about = [str(value[n]) for n in ("document_type", "title", "source") if value.get(n)]
    return "  ".join([_id(record, value), *about]) + _below(_cut(text, TEXT_CHARS_MAX))


def _other(record: Shown, value: Json) -> str:
    text = json.dumps(shortened(value), ensure_ascii=False)
    return f"{_text(record.key) or '-'}  {_cut(text, LINE_CHARS_MAX)}"


_FORMATS: Mapping[str, Callable[[Shown, Json], str]] = {
    "llm_results": _summary,
    "embeddings": _embedding,
    "batch_status": _status,
    "text_messages": _document,
    "financial_documents": _document,
    "embedding_requests": _document,
    "summary_requests": _document,
}


def _value(raw: bytes | None) -> Any:
    """The object, else the text; None for a delete."""
    if raw is None:
        return None
    try:
        return parse(raw)
    except Undecodable:
        return raw.decode("utf-8", "backslashreplace")


def _time(record: Shown, value: Any) -> str:
    """The record's own time, else Kafka's, in the local zone."""
    try:
        seconds = timestamp("", value.get("timestamp")) if isinstance(value, dict) else None
        moment = datetime.fromtimestamp(
            record.timestamp_ms / 1000 if seconds is None else seconds
        ).astimezone()
    except (InvalidRecord, ValueError, OverflowError, OSError):
        return "-"
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _id(record: Shown, value: Json) -> str:
    return str(value.get("id") or value.get("document_id") or _text(record.key) or "-")


def _n(value: Json, name: str) -> int:
    found = value.get(name)
    return found if isinstance(found, int) else 0


def _below(text: str) -> str:
    """The text on lines of its own, set in; nothing where there is none."""
    return "".join(f"\n    {line.strip()}" for line in text.splitlines() if line.strip())


def shortened(value: Any) -> Any:
    """Return a JSON value with its vectors as what they are: so many numbers."""
    if isinstance(value, list):
        if len(value) > NUMBERS_MAX and all(isinstance(n, int | float) for n in value):
            return f"[{len(value)} numbers]"
        return [shortened(item) for item in value]
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    return value


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


def _cut(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"
