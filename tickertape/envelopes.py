"""What a record looks like that is none of ours: for the reason of its dead letter. Pure.

Nothing is unwrapped: each of these has a setting at its sender that leaves the envelope out, and a
reader that guesses would take the wrong half of a change event for the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONNECT = (
    "a Kafka Connect envelope of schema and payload: set value.converter.schemas.enable=false at"
    " the connector"
)
DEBEZIUM = (
    "a Debezium change event of before, after and op: unwrap it at the connector with"
    " io.debezium.transforms.ExtractNewRecordState"
)
CLOUD_EVENT = "a CloudEvent in structured mode: send its data alone (binary mode)"
REST_PROXY = "a request to a REST proxy: its records are to be sent one by one"
WRAPPED = "one whose fields are under {!r}: they are expected at the top"

_REGISTRY = (
    "it starts as a Schema Registry serialiser writes (Avro, Protobuf, JSON Schema); send plain"
    " JSON, with the serialiser for strings or bytes"
)
_REGISTRY_BYTES = 5  # a zero, and the schema's id
_BEGINNINGS = (
    (b"\x1f\x8b", "it is gzipped; let the producer compress (compression.type) instead"),
    (b"\xff\xfe", "it looks like UTF-16"),
    (b"\xfe\xff", "it looks like UTF-16"),
    (b"<", "it looks like XML or HTML"),
    (b"\x80", "it looks pickled"),
    (b"PK\x03\x04", "it looks like a zip file or an Office document"),
    (b"%PDF", "it looks like a PDF"),
)


def of_fields(tree: Mapping[str, Any]) -> str | None:
    """Return what an object looks like that lacks our fields; None where it looks like nothing."""
    if "payload" in tree and "schema" in tree:
        payload = tree["payload"]
        inner = of_fields(payload) if isinstance(payload, Mapping) else None
        return f"{CONNECT}; in it is {inner}" if inner == DEBEZIUM else CONNECT
    if "op" in tree and ("after" in tree or "before" in tree):
        return DEBEZIUM
    if "specversion" in tree and ("data" in tree or "data_base64" in tree or "type" in tree):
        return CLOUD_EVENT
    if isinstance(tree.get("records"), list):
        return REST_PROXY
    for name in ("payload", "data", "value", "record", "document", "message", "body"):
        if isinstance(tree.get(name), Mapping):
            return WRAPPED.format(name)
    return None


def of_bytes(value: bytes) -> str | None:
    """Return what bytes look like that are no JSON; None where they look like nothing."""
    if value[:1] == b"\0" and len(value) > _REGISTRY_BYTES:
        return _REGISTRY
    return next((said for start, said in _BEGINNINGS if value.startswith(start)), None)
