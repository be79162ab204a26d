"""The whole failure policy, one function, no I/O.

=========  =====================================================================
class      what happens
=========  =====================================================================
permanent  dead letter at once
transient  the next retry topic while there is one, then dead letter
outage     hold the flow; the record stays where it is and spends no attempt
=========  =====================================================================
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tickertape.errors import ErrorClass


@dataclass(frozen=True, slots=True)
class Retry:
    """Copy the record to retry topic ``level``; it is due after ``delay_seconds``."""

    level: int
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Dead:
    """Copy the record to the dead letter topic."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold the flow and try the record again."""


Decision = Retry | Dead | Hold


def decide(
    error_class: ErrorClass, attempts: int, delays: Sequence[float], jitter: float = 0.0
) -> Decision:
    """Return what to do with a record that failed.

    ``attempts`` is how many retries it has had: 0 on its own topic, n + 1 on retry topic n.
    ``delays`` in seconds, one a level.
    """
    if error_class is ErrorClass.OUTAGE:
        return Hold()
    if error_class is ErrorClass.PERMANENT or attempts >= len(delays):
        return Dead()
    return Retry(attempts, delays[attempts] * (1 + jitter * random.random()))
