"""Errors of a database's client as ours, by a table; the first row that matches holds.

A store that is a server gives each call a time-out of its own, since clients try again for a minute
and more when a server is gone, and says what its client raises as rows of a table like `NETWORK`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tickertape.errors import (
    OutageError,
    PermanentError,
    TickertapeError,
    Timeout,
    TransientError,
)

Kind = type[OutageError] | type[TransientError] | type[PermanentError]
Row = tuple[type[BaseException] | tuple[type[BaseException], ...], Kind]

# Below the client's own rows
NETWORK: Sequence[Row] = (
    (TimeoutError, Timeout),
    (OSError, OutageError),  # nobody listens there, or not to us; ConnectionError too
)


class Faults:
    """The errors of one store. ``hide`` takes out of a message what must not be seen in logs."""

    def __init__(
        self, store: str, rows: Sequence[Row], hide: Callable[[str], str] = lambda text: text
    ) -> None:
        self.dependency = f"store:{store}"
        self._store = store
        self._rows = (*rows, *NETWORK)
        self._hide = hide

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the client's errors as ours; others as they are."""
        try:
            yield
        except TickertapeError:
            raise
        except Exception as error:
            found = self.ours(error)
            if found is None:
                raise
            raise found from error

    def ours(self, error: BaseException) -> TickertapeError | None:
        """Return what an error is to us; None where no row tells."""
        for kinds, ours in self._rows:
            if isinstance(error, kinds):
                message = f"store {self._store}: {self.line(error)}"
                if issubclass(ours, PermanentError):
                    return ours(message)
                return ours(message, dependency=self.dependency)
        return None

    def line(self, error: BaseException) -> str:
        """Return the error in one line."""
        text = " ".join(str(error).split()) or "no answer in time"
        if not isinstance(error, TimeoutError):
            text = f"{type(error).__name__}: {text}"
        return self._hide(text)
