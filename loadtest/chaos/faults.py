"""The faults of a run, from its seed. Pure: what each one does is in `inject`."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tickertape.stores.sqlite.threads import BUSY_SECONDS

# How often each kind comes, relative to the others. A run has each kind once before this counts.
WEIGHTS = {
    "kill": 9,  # kill -9 of a worker, and a new one in its place
    "term": 7,  # SIGTERM, likewise
    "stop": 5,  # SIGSTOP for longer than the session: a zombie comes back
    "broker": 4,  # kill -9 of the broker, and a restart
    "storm": 3,  # a third worker joins and leaves: rebalances in the middle of everything
    "store_stall": 14,  # another process holds the store's write lock for a while
    "store_error": 2,  # for longer than a worker waits: its writes fail
    "llm_429": 8,
    "llm_500": 9,
    "llm_stall": 7,  # no answer within the time-out
    "llm_garbage": 8,
    "llm_cut": 8,  # the connection ends in the middle of the answer
    "store_log": 2,  # its write-ahead log is removed; all workers are stopped and started again
    "roles": 5,  # a worker is stopped, and comes back with other roles
    "clock": 4,  # likewise, with a clock that is wrong, or with a changelog that is slow
    "abort": 6,  # a producer's transaction is aborted
    "partitions": 2,  # a topic gets one more
    "remade": 3,  # a topic is deleted and made anew
    "poison": 60,  # a record that nobody can read; its kinds are below
    "duplicate": 45,  # a producer sends a record again
}
POISON = ("not_json", "not_json_named", "not_utf8", "no_text", "wrong_id", "too_large", "version")
LLM_KINDS = {
    "llm_429": ("rate_limited", "busy"),
    "llm_500": ("engine_dead", "empty_500", "html_502"),
    "llm_stall": ("slow",),
    "llm_garbage": ("garbage_200", "no_choices", "empty_summary", "list_200"),
    "llm_cut": ("cut_body", "reset", "abort"),
}
LLM_TIMEOUT_SECONDS = 3.0
SESSION_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Fault:
    """``target``: which worker, or what sort of the kind; ``count``: how often, or a number to
    choose by. Each where it has a meaning."""

    kind: str
    target: str = ""
    seconds: float = 0.0
    count: int = 1


def plan(seed: int, count: int, workers: int) -> list[Fault]:
    """Return the faults in the order they come."""
    rng = random.Random(f"faults {seed}")
    kinds = list(WEIGHTS)
    rng.shuffle(kinds)
    kinds = kinds[:count]
    more = count - len(kinds)
    kinds += rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=more)
    rng.shuffle(kinds)
    return [_fault(rng, kind, workers) for kind in kinds]


def _fault(rng: random.Random, kind: str, workers: int) -> Fault:
    if kind in LLM_KINDS:
        # Few enough that a record runs out of attempts only where an error is ours.
        target = rng.choice(LLM_KINDS[kind])
        return Fault(kind, target, LLM_TIMEOUT_SECONDS + rng.uniform(1, 4), rng.randint(1, 10))
    if kind == "poison":
        return Fault(kind, rng.choice(POISON))
    seconds = {
        "stop": (SESSION_SECONDS + 2, SESSION_SECONDS + 4),
        "broker": (0.2, 4.0),
        "storm": (0.0, 6.0),
        "store_stall": (0.3, 4.0),
        "store_error": (BUSY_SECONDS + 1, BUSY_SECONDS + 3),
        "store_log": (0.5, 2.0),
    }.get(kind, (0.0, 0.0))
    fault = Fault(kind, str(rng.randrange(workers)), rng.uniform(*seconds))
    return replace(fault, count=rng.randint(1, 10**6))
