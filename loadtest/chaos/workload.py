"""What is sent, from the seed: documents with their versions and deletes, in batches. Pure.

A version's text begins with a mark such as ``d12e3`` (document 12, third edition), which its
chunks, its vectors' records and its summary repeat, so each can be told from the others.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from loadtest.chaos.faults import Fault

# Topics, by what they are for. Producers stamp the texts, with clocks of their own.
DOCUMENTS, TEXTS, STATUS, VECTORS = "documents", "texts", "status", "vectors"
TEXT_BYTES_MAX = 8192
POISON_KEY = "poison-"
MARK = re.compile(r"\b[dpr]\d+e\d+\b")
EPOCH_BATCH = 40  # a run has about as many batches
_WORDS = (
    *("revenue", "profit", "outlook", "margin", "dividend", "guidance", "quarter", "demand"),
    *("cost", "debt", "cash", "share", "growth", "segment", "order", "price", "volume"),
)

# What happens to a document over the run, and how often of 100. w: a new edition; s: the same
# text again; x: a delete; numbers: editions with an explicit version, in this order. k: an edition
# by another key, and so by way of an internal topic, which a delete (x) follows at once.
LIVES = (
    ("w", 66),
    ("ww", 8),
    ("www", 4),
    ("ws", 4),
    ("wx", 5),
    ("wxw", 3),
    ("213", 3),
    ("21", 3),
    ("312x", 2),
    ("2x1", 2),
    ("kx", 2),
    ("kxw", 1),
)
PARTS_EVERY = 50  # documents to one whose vectors are made elsewhere, in parts
NUMBERS = 8  # of such a vector


@dataclass(frozen=True, slots=True)
class Send:
    """One record to send. ``batch`` is where it counts, None where it does not."""

    topic: str
    key: str | None
    value: bytes | None
    batch: str | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    late_ms: int = 0  # how far its producer's clock is behind
    odd: bool = False  # with a header whose name is no UTF-8


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    document: int
    step: str  # a letter or digit of its life
    edition: int


def steps(seed: int, documents: int, faults: list[Fault]) -> Iterator[Send | Fault]:
    """Yield what the run does, in order: records to send, and the faults spread over them."""
    rng = random.Random(f"work {seed}")
    moments = _moments(rng, documents)
    per_fault = len(moments) / (len(faults) + 1)
    todo = list(enumerate(faults))
    last: Send | None = None
    for batch in _batches(rng, moments):
        name = f"batch-{batch[0]}"
        records = [(m, _record(rng, seed, m, name)) for m in batch[1]]
        extra: dict[int, list[Fault]] = {}
        for place in range(len(records)):
            while todo and (batch[2] + place) >= (todo[0][0] + 1) * per_fault:
                extra.setdefault(place, []).append(todo.pop(0)[1])
        counted = sum(record.batch is not None for _, record in records)
        poison = [f.target for found in extra.values() for f in found if f.kind == "poison"]
        counted += sum(target != "not_json" for target in poison)
        how = rng.random()
        declared = Send(STATUS, name, _declaration(name, counted if how < 0.8 else None))
        if how < 0.6:
            yield declared
        for place, (_, record) in enumerate(records):
            yield record
            if record.batch is not None and record.key is not None:
                last = record
            for fault in extra.get(place, ()):
                if fault.kind == "poison":
                    yield _poison(rng, fault.target, name)
                elif fault.kind == "duplicate" and last is not None:
                    yield last
                yield fault
        if 0.6 <= how < 0.9:
            yield declared
    for _, fault in todo:
        yield fault


def _moments(rng: random.Random, documents: int) -> list[_Moment]:
    lives, weights = zip(*LIVES, strict=True)
    found: list[_Moment] = []
    for number in range(documents):
        life = rng.choices(lives, weights)[0]
        times = sorted(rng.random() for _ in life)
        if life.startswith("k"):
            times[1] = times[0]
        edition = 0
        for at, step in zip(times, life, strict=True):
            edition = int(step) if step.isdigit() else edition + (step in "wk")
            found.append(_Moment(at, number, step, edition))
    for number in range(documents // PARTS_EVERY):
        parts = list(range(rng.randint(2, 5)))
        for edition in range(1, rng.randint(1, 3) + 1):
            rng.shuffle(parts)
            at = rng.random()
            found += [_Moment(at, number, f"p{n}/{len(parts)}", edition) for n in parts]
    return sorted(found, key=lambda moment: moment.at)


def _batches(
    rng: random.Random, moments: list[_Moment]
) -> Iterator[tuple[int, list[_Moment], int]]:
    """Yield (number, moments, place of the first)."""
    middle = max(len(moments) // EPOCH_BATCH, 8)
    start = number = 0
    while start < len(moments):
        size = rng.randint(middle // 2, middle * 3 // 2)
        yield number, moments[start : start + size], start
        start += size
        number += 1


def _record(rng: random.Random, seed: int, moment: _Moment, batch: str) -> Send:
    if moment.step.startswith("p"):
        return _part(rng, moment, batch)
    id = f"d{moment.document}"
    topic = DOCUMENTS if moment.document % 2 else TEXTS
    if moment.step == "x":
        return Send(topic, id, None, late_ms=_late(rng, topic))
    value: dict[str, Any] = {
        "id": id,
        "text": text(seed, id, moment.edition),
        "batch_id": batch,
        "metadata": {"desk": moment.document % 7},
    }
    if moment.step.isdigit():
        value["version"] = moment.edition
    # Some producers give no key, or one of their own.
    key = rng.choices((id, None, f"own-{moment.document % 97}"), (94, 4, 2))[0]
    if moment.step == "k":
        key = f"own-{moment.document % 97}"
    odd = topic == DOCUMENTS and rng.random() < 0.02
    late_ms = _late(rng, topic)
    return Send(topic, key, json.dumps(value).encode(), batch, late_ms=late_ms, odd=odd)


def _late(rng: random.Random, topic: str) -> int:
    """A clock that jumps back by up to an hour now and then. (One that is ahead counts as the
    moment of reading, which the records do not tell.)"""
    if topic != TEXTS:
        return 0
    return rng.choices((0, rng.randint(1, 3_600_000)), (90, 10))[0]


def _part(rng: random.Random, moment: _Moment, batch: str) -> Send:
    id = f"p{moment.document}"
    number, count = map(int, moment.step[1:].split("/"))
    value = {
        "id": id,
        "text": f"Part {number} of {id}e{moment.edition}.",
        "embedding": [round(rng.uniform(-1, 1), 3) for _ in range(NUMBERS)],
        "model_name": "made-elsewhere",
        "chunk": number,
        "chunk_count": count,
        "batch_id": batch,
    }
    return Send(VECTORS, id, json.dumps(value).encode(), batch)


def text(seed: int, id: str, edition: int) -> str:
    """Return an edition's text: one to a few chunks, the mark in its first sentence."""
    rng = random.Random(f"{seed} {id} {edition}")
    sentences = [f"Note {id}e{edition} is about {rng.choice(_WORDS)}."]
    for _ in range(rng.choices((1, 4, 12), (60, 30, 10))[0]):
        words = " ".join(rng.choices(_WORDS, k=rng.randint(6, 14)))
        sentences.append(f"{words.capitalize()} {rng.randint(1, 999)} million.")
    return " ".join(sentences)


def _declaration(batch: str, total: int | None) -> bytes:
    status = {"batch_id": batch, "status": "queued", "total_documents": total}
    return json.dumps(status).encode()


def _poison(rng: random.Random, kind: str, batch: str) -> Send:
    """A record that is a dead letter at once. The key tells which it was."""
    number = rng.getrandbits(48)
    good = {"id": f"{POISON_KEY}{number}", "text": "Poison.", "batch_id": batch}
    named = (("tickertape-batch", batch.encode()),)
    send = Send(rng.choice((DOCUMENTS, TEXTS)), f"{POISON_KEY}{number}", b"", batch, named)
    if kind == "not_json":
        return replace(send, value=b'{"id": "p", "text": ', batch=None, headers=())
    if kind == "not_json_named":
        return replace(send, value=b"<html>502</html>")
    if kind == "not_utf8":
        return replace(send, value=b'{"text": "\xff\xfe"}')
    fields: dict[str, dict[str, Any]] = {
        "no_text": {"text": None},
        "wrong_id": {"id": {"number": 1}},
        "too_large": {"text": "Large. " * TEXT_BYTES_MAX},
        "version": {"version": "the newest"},
    }
    return replace(send, value=json.dumps(good | fields[kind]).encode(), headers=())
