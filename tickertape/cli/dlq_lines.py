"""Letters for a terminal. Masked, and without what a terminal would obey."""

from __future__ import annotations

import json

from tickertape import headers as h
from tickertape.cli.showing import plain, shortened
from tickertape.dlq.replay import ReplayResult, Totals
from tickertape.dlq.showing import Json
from tickertape.encode import iso

REASON_CHARS = 100
TIMES = frozenset({h.DLT_TIMESTAMP, h.RETRY_DUE, h.RETRY_FIRST})


def line(letter: Json) -> str:
    """Return a letter in one line."""
    error = (letter["error"] or "?").rpartition(".")[2]
    reason = " ".join((letter["reason"] or "").split())
    if len(reason) > REASON_CHARS:
        reason = reason[: REASON_CHARS - 1] + "\u2026"
    state = "" if letter["state"] == "open" else f"  [{letter['state']}]"
    about = [
        f"key {letter['key']}" if letter["key"] is not None else "no key",
        f"batch {letter['batch_id']}" if letter["batch_id"] else "",
        f"replayed {letter['replays']}x" if letter["replays"] else "",
    ]
    when = (letter["timestamp"] or "-")[:19]
    first = f"{letter['id']}  {when}  {letter['error_class'] or '-'}{state}"
    return plain(f"{first}  {'  '.join(filter(None, about))}\n    {error}: {reason}")


def page(letter: Json) -> str:
    """Return all of a letter."""
    original = letter["original"]
    stood = "/".join(str(original[name]) for name in ("topic", "partition", "offset"))
    rows = {
        "id": letter["id"],
        "died": letter["timestamp"],
        "state": letter["state"],
        "error": f"{letter['error']} ({letter['error_class']})",
        "reason": letter["reason"],
        "key": letter["key"],
        "batch": letter["batch_id"],
        "retries": letter["attempts"],
        "replays": letter["replays"],
        "edited from": letter["edited_from"],
        "first at": f"{stood}, {original['timestamp']}",
        "size": f"{letter['size']} bytes",
    }
    lines = [f"{name:12} {value}" for name, value in rows.items() if value is not None]
    lines += ["", "headers"]
    lines += [f"  {name}: {_header(name, value)}" for name, value in letter["headers"]]
    if letter["stacktrace"]:
        lines += ["", "stack trace", *_set_in(letter["stacktrace"])]
    return plain("\n".join([*lines, "", *_payload(letter["payload"])]))


def result_line(result: ReplayResult, dry_run: bool) -> str:
    """Return what became of a letter."""
    shown = result.as_json()
    if shown["error"] is not None:
        return plain(f"{shown['id']}: {shown['error']}")
    action = f"would be {shown['action']}" if dry_run else shown["action"]
    where = f"to {shown['to']}, key {shown['key']}, replay {shown['replays']}"
    return plain(f"{shown['id']}  {action}: {where}")


def totals_line(totals: Totals, dry_run: bool) -> str:
    """Return the counts in a line."""
    if not totals.done:
        return "no dead letters match"
    would = "would be " if dry_run else ""
    counts = [f"{totals.replayed} {would}replayed"]
    if totals.parked:
        counts.append(f"{totals.parked} {would}parked (replayed too often)")
    if totals.failed:
        counts.append(f"{totals.failed} failed")
    return ", ".join(counts)


def _header(name: str, value: str | None) -> str:
    """A header's value; Kafka's times are milliseconds, which nobody reads."""
    if value is None:
        return "null"
    if name in TIMES and value.isascii() and value.isdigit() and len(value) <= 15:
        return f"{iso(int(value) / 1000)} ({value})"
    return value


def _payload(payload: Json) -> list[str]:
    match payload["encoding"]:
        case "null":
            return ["payload: none, this is a delete of the key"]
        case "json":
            text = json.dumps(shortened(payload["value"]), indent=2, ensure_ascii=False)
            return ["payload, JSON", *_set_in(text)]
        case "text":
            return ["payload, text that is no JSON object", *_set_in(payload["value"])]
    found = ["payload, bytes that are no text", *_set_in(payload["value"]), "", "in hex"]
    return [*found, *_set_in(payload["hex"] or "not shown: a secret stands in it")]


def _set_in(text: str) -> list[str]:
    return [f"  {one}" for one in text.splitlines()]
