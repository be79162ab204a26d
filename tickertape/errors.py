"""The error tree. The class of an error decides what happens to the record.

::

    TickertapeError
    +-- StartError            the worker or command does not start: one line, exit 1
    |   +-- SettingsError       a setting is wrong or missing; names it
    |   +-- ModelMissing        the embedding model is not in the cache and may not be fetched
    |   +-- BrokerError         the embedded broker cannot start, or another one is in its place
    |   `-- StoreError          a store cannot be opened
    +-- PermanentError        the same input fails for ever: dead letter at once
    |   +-- Undecodable         not JSON, or not text
    |   +-- InvalidRecord       a field is wrong; names it and what was expected
    |   +-- TooLarge            over a limit; names the limit's setting
    |   `-- Rejected            a dependency answered that the request is wrong (4xx)
    +-- TransientError        may pass: retry topics, with growing delays, then dead letter
    |   `-- Timeout             no answer in time
    `-- OutageError           a dependency is down or overloaded for all: the flow is held,
                              no attempt is spent; carries ``retry_after``

`classify` maps exceptions that are not ours by the table below; extend the table, not the code.
"""

from __future__ import annotations

import enum
import ssl


class ErrorClass(enum.Enum):
    """What the failure policy does with a record that failed."""

    PERMANENT = "permanent"  # dead letter at once
    TRANSIENT = "transient"  # retry topics, then dead letter
    OUTAGE = "outage"  # hold the flow; the record keeps its attempts


class TickertapeError(Exception):
    """Something went wrong in Tickertape."""

    error_class = ErrorClass.TRANSIENT


class StartError(TickertapeError):
    """Tickertape cannot start."""


class SettingsError(StartError):
    """A setting is wrong."""


class ModelMissing(StartError):
    """The embedding model is not in the local cache."""


class BrokerError(StartError):
    """The embedded broker cannot be used."""


class StoreError(StartError):
    """A store cannot be opened."""


class PermanentError(TickertapeError):
    """The record will fail for ever."""

    error_class = ErrorClass.PERMANENT


class Undecodable(PermanentError):
    """The record's bytes are not what the topic carries."""


class InvalidRecord(PermanentError):
    """A field of the record is wrong.

    The message reads ``field: expected X, got Y``.
    """

    def __init__(self, field: str, expected: str, got: object = None) -> None:
        self.field = field
        shown = "" if got is None else f", got {_short(got)}"
        super().__init__(f"{field}: expected {expected}{shown}")


class TooLarge(PermanentError):
    """The input is over a limit."""


class Rejected(PermanentError):
    """A dependency refused the request as wrong."""


class TransientError(TickertapeError):
    """The operation failed and may succeed later. ``dependency`` names what failed, if known."""

    error_class = ErrorClass.TRANSIENT

    def __init__(self, message: str, *, dependency: str | None = None) -> None:
        self.dependency = dependency
        super().__init__(message)


class Timeout(TransientError):
    """No answer in time."""


class OutageError(TickertapeError):
    """A dependency is down or overloaded for everyone.

    ``dependency`` is the name its breaker has (``llm``, ``store:sqlite``);
    ``retry_after`` is in seconds, None where the dependency did not say.
    """

    error_class = ErrorClass.OUTAGE

    def __init__(self, message: str, *, dependency: str, retry_after: float | None = None) -> None:
        self.dependency = dependency
        self.retry_after = retry_after
        super().__init__(message)


# First match wins, so a subclass stands above its base. What is not in the table is
# TRANSIENT: an unknown error is tried again first and becomes a dead letter at the end.
FOREIGN: tuple[tuple[type[BaseException], ErrorClass], ...] = (
    (UnicodeError, ErrorClass.PERMANENT),
    (ssl.SSLCertVerificationError, ErrorClass.PERMANENT),
    (TimeoutError, ErrorClass.TRANSIENT),
    (ConnectionError, ErrorClass.TRANSIENT),
    (OSError, ErrorClass.TRANSIENT),
    (MemoryError, ErrorClass.TRANSIENT),
)


def classify(error: BaseException) -> ErrorClass:
    """Return the class of any exception (see the table)."""
    if isinstance(error, TickertapeError):
        return error.error_class
    for kind, error_class in FOREIGN:
        if isinstance(error, kind):
            return error_class
    return ErrorClass.TRANSIENT


def drop_traceback(error: BaseException) -> None:
    """Let go of the frames that an error went through, when all that they tell is told.

    A frame that has both the error and, by the traceback, itself is a cycle: the record, and the
    text in it, would stay until the garbage collector comes by.
    """
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        left += [each.__cause__, each.__context__]


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({type(value).__name__})"
