"""Circuit breakers: one a dependency (a store, the LLM), shared by the flows that need it.

Closed, everything goes. An `OutageError`, or a run of transient failures, opens it: the flows
that need the dependency are held and spend no attempts. After the delay it is half open: one
small window probes; success closes it, failure opens it for longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

DELAY_SECONDS_MIN = 1.0
DELAY_SECONDS_MAX = 30.0
RETRY_AFTER_SECONDS_MAX = 300.0
FAILURES_TO_OPEN = 5


class Breaker:
    """The state of one dependency. ``clock`` is monotonic, in seconds."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.reason = ""
        self._clock = clock
        self._failures = 0
        self._delay = 0.0
        self._until: float | None = None  # None: closed
        self._probing = False

    @property
    def is_open(self) -> bool:
        """True until a probe succeeded."""
        return self._until is not None

    @property
    def wait_seconds(self) -> float:
        """How long until a probe may go; 0 when closed or due."""
        return max(0.0, self._until - self._clock()) if self._until is not None else 0.0

    def admit(self) -> bool:
        """Ask to use the dependency. When half open, True for one caller: the probe."""
        if self._until is None:
            return True
        if self._probing or self._clock() < self._until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """A call went through."""
        self._failures = 0
        self._delay = 0.0
        self._until = None
        self._probing = False
        self.reason = ""

    def failed(self, reason: str) -> None:
        """A call failed and may pass. A run of these opens the breaker."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN or self._until is not None:
            self.open(reason)

    def open(self, reason: str, retry_after: float | None = None) -> None:
        """The dependency is down. Waits ``retry_after`` seconds, else twice the last wait."""
        if self._until is not None and not self._probing:
            return  # another window saw the same outage
        self._probing = False
        self._delay = min(max(self._delay * 2, DELAY_SECONDS_MIN), DELAY_SECONDS_MAX)
        wait = self._delay if retry_after is None else min(retry_after, RETRY_AFTER_SECONDS_MAX)
        self._until = self._clock() + wait
        # Who shows it says whose it is; a message that begins with the name would say it twice.
        self.reason = reason.removeprefix(f"{self.name}: ")

    def abandon(self) -> None:
        """The probe ended without a verdict (cancelled): let another one go."""
        self._probing = False


class Breakers:
    """All breakers, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def __getitem__(self, name: str) -> Breaker:
        """Return the breaker of this dependency; the first use makes it."""
        if name not in self._breakers:
            self._breakers[name] = Breaker(name, self._clock)
        return self._breakers[name]

    def all(self) -> list[Breaker]:
        """Return every breaker that was ever asked for."""
        return list(self._breakers.values())

    def opened(self, names: Iterable[str] | None = None) -> list[Breaker]:
        """Return those of ``names`` (or all) that are open."""
        known = self._breakers.values() if names is None else (self[name] for name in names)
        return [breaker for breaker in known if breaker.is_open]
