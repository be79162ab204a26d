"""How a command fails: one line on stderr, exit code 1."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from tickertape.errors import TickertapeError


@contextmanager
def one_line() -> Iterator[None]:
    """Turn our errors into click's: ``Error: ...`` without a traceback.

    The client's own complaints of a connection that fails are left out: ours says it once.
    """
    log = logging.getLogger("aiokafka")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    except TickertapeError as error:
        raise click.ClickException(str(error)) from None
    finally:
        log.setLevel(level)
