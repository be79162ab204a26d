"""Which dead letters are meant."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from tickertape import values
from tickertape.dlq.letter import Letter
from tickertape.errors import InvalidRecord

ERROR_CLASSES = ("permanent", "transient")
_AGO = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s{0,9}([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is set must fit. Times are epoch milliseconds of death, ``until_ms`` excluded.

    ``error`` is an exception's name, with or without its module, in any case.
    """

    error_class: str | None = None
    error: str | None = None
    key: str | None = None
    batch: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def matches(self, letter: Letter) -> bool:
        """Return whether the letter is meant."""
        return (
            (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or letter.timestamp_ms < self.until_ms)
            and (self.error_class is None or letter.error_class == self.error_class)
            and (self.batch is None or letter.batch == self.batch)
            and (self.key is None or letter.key == self.key.encode("utf-8", "surrogateescape"))
            and (self.error is None or _named(self.error, letter.error or ""))
        )


def when(name: str, text: str) -> int:
    """Return epoch milliseconds: ``2h`` ago (s, m, h, d, w), ISO 8601 (UTC), or epoch seconds.

    Raises:
        InvalidRecord: none of these; names the field.
    """
    if ago := _AGO.fullmatch(text.strip().lower()):
        return round((time.time() - float(ago[1]) * _SECONDS[ago[2]]) * 1000)
    try:
        seconds = values.timestamp(name, text)
    except InvalidRecord:
        seconds = None
    if seconds is None:
        raise InvalidRecord(name, "a time ago (2h, 30m, 7d) or ISO 8601", text)
    return round(seconds * 1000)


def _named(wanted: str, full: str) -> bool:
    full, wanted = full.lower(), wanted.lower()
    return wanted in {full, full.rpartition(".")[2]}
