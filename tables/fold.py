"""The pure fold of a batch: deltas in, state out. The same delta twice changes nothing.

Each stage of an item has a rank, and the highest wins whatever the order of arrival: done (also
unchanged, repeat) over everything; else the higher number of replays; in one replay dead over
retrying. So redelivered deltas are harmless, and a replay reopens what was dead.

The state lies in a mapping of JSON values, under the batch's id for what is asked often, and
under one key for each partition and block of offsets (a shard), so that no value grows large. Every
value says by ``at`` which delta (its offset) was the last one folded in: a worker that was
stopped, and wakes when another has its partition, writes values with a lower one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tickertape.delivery.outcome import State
from tickertape.delivery.progress import Delta, Entry
from tickertape.ranges import Ranges

SEPARATOR = "\x1f"
SHARD_OFFSETS = 16_384  # 8k runs a stage at worst: below Kafka's default of 1 MB a message

Json = dict[str, Any]


class Cells(Protocol):
    """Where the state lies: a Faust table, or a dict in tests."""

    def get(self, key: str) -> Json | None: ...
    def set(self, key: str, value: Json | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Counts:
    """Items by where they stand. ``done`` includes ``unchanged`` and ``superseded``; ``repeats``
    are not items."""

    seen: int = 0
    done: int = 0
    unchanged: int = 0
    retrying: int = 0
    dead: int = 0
    repeats: int = 0
    superseded: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self.as_list(), other.as_list(), strict=True)))

    def as_list(self) -> list[int]:
        """Return the counts in the order of the fields."""
        named = (self.seen, self.done, self.unchanged, self.retrying, self.dead, self.repeats)
        return [*named, self.superseded]


def fold(cells: Cells, deltas: Iterable[Delta]) -> dict[str, Json | None]:
    """Apply the deltas, in order; return batch-status values of the batches they touched.

    A value of None says that the batch is unknown: it was forgotten.
    """
    touched: dict[str, Json | None] = {}
    for delta in deltas:
        known = cells.get(_key(delta.batch_id))
        if delta.refresh:
            if known is not None:
                _rewrite(cells, known)
                touched[delta.batch_id] = status(known)
            else:
                touched[delta.batch_id] = None
            continue
        if delta.forget is not None:
            if known is None or _may_forget(known, delta):
                _forget(cells, known or _new(delta))
                touched[delta.batch_id] = None
            continue
        batch = known or _new(delta)
        batch = _apply(cells, dict(batch), delta)
        cells.set(_key(delta.batch_id), batch)
        touched[delta.batch_id] = status(batch)
    return touched


def status(batch: Mapping[str, Any]) -> Json:
    """Return the batch-status fields, but for the timestamp's format (epoch ms here)."""
    counts = sum((Counts(*shard) for shard in batch["shards"].values()), Counts())
    declared: int | None = batch["total"]
    finished = counts.done + counts.dead
    settled = finished >= counts.seen
    closed = batch["closed"] is not None and batch["closed"] >= batch["last"]
    if declared is None:
        complete = settled and closed and counts.seen > 0
    else:
        # Two records of one document with the same content are one item: with them the total
        # is reached too, once the batch is quiet (another record may still be on its way).
        repeated = settled and closed and counts.seen + counts.repeats >= declared
        complete = (finished >= declared and settled) or repeated
    total = counts.seen if declared is None and complete else declared
    if declared is not None:
        total = max(declared, counts.seen)  # more came than were declared: what came counts
    error: str | None = batch.get("error")
    if complete or error:
        state = "failed" if counts.dead or error else "completed"
    else:
        state = "queued" if not counts.seen else "processing"
    return {
        "batch_id": batch["batch_id"],
        "status": state,
        "total_documents": total,
        "processed_documents": finished,
        "error_message": _message(counts, declared, total, error),
        "timestamp": batch["last"],
        "done": counts.done,
        "unchanged": counts.unchanged,
        "retrying": counts.retrying,
        "dead": counts.dead,
        "seen": counts.seen,
        "repeats": counts.repeats,
        "superseded": counts.superseded,
        "started": batch["first"],
        "at": batch["at"],
    }


def _message(
    counts: Counts, declared: int | None, total: int | None, error: str | None
) -> str | None:
    said = [error] if error else []
    if counts.dead:
        of = "" if total is None else f" of {total}"
        one = counts.dead == 1
        noun = "document" if (total if total is not None else counts.dead) == 1 else "documents"
        what = "is a dead letter" if one else "are dead letters"
        said.append(f"{counts.dead}{of} {noun} {what}")
    if declared is not None and counts.seen > declared:
        said.append(f"{counts.seen} came, {declared} {'was' if declared == 1 else 'were'} declared")
    return "; ".join(said) or None


def _key(batch_id: str) -> str:
    """The key of a batch. Shards' keys have one separator: one in an id is doubled."""
    return batch_id.replace(SEPARATOR, SEPARATOR * 2)


def _shard_key(batch_id: str, name: str) -> str:
    """The key of a shard. Its name begins with a topic's, so with no separator."""
    return f"{_key(batch_id)}{SEPARATOR}{name}"


def _may_forget(batch: Json, delta: Delta) -> bool:
    """Go by the broker's clock, on both sides: a worker's may be days ahead."""
    forget = delta.forget
    assert forget is not None
    if batch["last"] > forget.last:
        return False
    return forget.idle_ms is None or delta.timestamp_ms - batch["last"] >= forget.idle_ms


def _new(delta: Delta) -> Json:
    return {
        "batch_id": delta.batch_id,
        "total": None,
        "at": delta.offset,
        "first": delta.timestamp_ms,
        "last": delta.timestamp_ms,
        "closed": None,
        "error": None,
        "shards": {},
    }


def _apply(cells: Cells, batch: Json, delta: Delta) -> Json:
    batch["at"] = max(batch["at"], delta.offset)
    if delta.declared and delta.total is not None:
        batch["total"] = delta.total
        batch["error"] = None
    if delta.error is not None:
        batch["error"] = delta.error
    if delta.close is not None:
        batch["closed"] = max(delta.close, batch["closed"] or 0)
        return batch
    batch["last"] = max(batch["last"], delta.timestamp_ms)
    shards = dict(batch["shards"])
    for entry in delta.entries:
        for block, offsets in _blocks(entry.offsets):
            name = f"{entry.topic}/{entry.partition}/{block}"
            key = _shard_key(delta.batch_id, name)
            shard = _move(cells.get(key) or {}, entry, offsets)
            shard["at"] = max(shard.get("at", 0), delta.offset)
            cells.set(key, shard)
            shards[name] = _count(shard).as_list()
    batch["shards"] = shards
    return batch


def _rewrite(cells: Cells, batch: Json) -> None:
    for name in batch["shards"]:
        key = _shard_key(batch["batch_id"], name)
        cells.set(key, cells.get(key))
    cells.set(_key(batch["batch_id"]), batch)


def _forget(cells: Cells, batch: Json) -> None:
    for name in batch["shards"]:
        cells.set(_shard_key(batch["batch_id"], name), None)
    cells.set(_key(batch["batch_id"]), None)


def _blocks(offsets: Ranges) -> Iterable[tuple[int, Ranges]]:
    """Each block once: a shard is as large as its runs, and is gone through for each."""
    blocks: dict[int, list[tuple[int, int]]] = {}
    for start, end in offsets.to_json():
        while start < end:
            block = start // SHARD_OFFSETS
            stop = min(end, (block + 1) * SHARD_OFFSETS)
            blocks.setdefault(block, []).append((start, stop))
            start = stop
    return [(block, Ranges(runs)) for block, runs in blocks.items()]


FINAL = tuple(s.value for s in (State.DONE, State.UNCHANGED, State.REPEAT, State.SUPERSEDED))


def _move(shard: Json, entry: Entry, offsets: Ranges) -> Json:
    """Return the shard with these offsets moved, where their rank allows it.

    A shard: {"parts": [...], "<stage>": {"done": ranges, ..., "dead": {replays: ranges}, ...}}.
    """
    stage: Json = dict(shard.get(entry.stage, {}))
    final = _union(Ranges(stage.get(state, ())) for state in FINAL)
    offsets = offsets - final
    by_replays = {state: _by_replays(stage, state) for state in ("retrying", "dead")}
    if entry.state.value in FINAL:
        stage[entry.state.value] = (Ranges(stage.get(entry.state.value, ())) | offsets).to_json()
        winners = offsets
    else:
        rank = (entry.replays, entry.state is State.DEAD)
        for state, held in by_replays.items():
            for replays, ranges in held.items():
                if (replays, state == "dead") >= rank:
                    offsets = offsets - ranges
        winners = offsets
    for held in by_replays.values():
        for replays in held:
            held[replays] = held[replays] - winners
    if entry.state.value not in FINAL:
        held = by_replays[entry.state.value]
        held[entry.replays] = held.get(entry.replays, Ranges()) | winners
    for state, held in by_replays.items():
        stage[state] = {str(replays): r.to_json() for replays, r in held.items() if len(r)}
    return {**shard, "parts": list(entry.stages), entry.stage: stage}


def _count(shard: Json) -> Counts:
    stages = [shard.get(name, {}) for name in shard["parts"]]

    def held(state: str) -> list[Ranges]:
        if state in FINAL:
            return [Ranges(stage.get(state, ())) for stage in stages]
        return [_union(_by_replays(stage, state).values()) for stage in stages]

    unchanged, repeats, superseded = held("unchanged"), _union(held("repeat")), held("superseded")
    either = [a | b | c for a, b, c in zip(held("done"), unchanged, superseded, strict=True)]
    dead = _union(held("dead")) - repeats
    retrying = _union(held("retrying")) - repeats - dead
    seen = (_union(either) | dead | retrying) - repeats
    return Counts(
        seen=len(seen),
        done=len(_all(either) - repeats),
        unchanged=len(_all(unchanged) - repeats),
        retrying=len(retrying),
        dead=len(dead),
        repeats=len(repeats),
        superseded=len((_all(either) & _union(superseded)) - repeats),
    )


def _by_replays(stage: Json, state: str) -> dict[int, Ranges]:
    return {int(replays): Ranges(ranges) for replays, ranges in stage.get(state, {}).items()}


def _union(sets: Iterable[Ranges]) -> Ranges:
    total = Ranges()
    for one in sets:
        total = total | one
    return total


def _all(sets: list[Ranges]) -> Ranges:
    total = sets[0]
    for one in sets[1:]:
        total = total & one
    return total
