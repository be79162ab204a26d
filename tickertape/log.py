"""Logging: JSON where stdout is not a terminal, readable where it is; one pipeline for all.

Library logs (Faust, aiokafka, aiohttp) go through the same formatter as ours.
"""

from __future__ import annotations

import logging.config
import sys
import time
from typing import Any

import orjson
import structlog

from tickertape.settings import Settings

NOISY = {
    "aiokafka": "WARNING",
    "faust": "WARNING",
    "mode": "ERROR",
    "worker": "WARNING",
    "tables": "WARNING",
    "httpx": "WARNING",
}


QUIET_SECONDS = 60.0
LINES_MAX = 1000  # that are told apart
# Of ours: what is said at each turn of a loop while a broker is away.
LOOPS = frozenset(
    {"commit", "compacted_reader", "retry_reader", "retry_reader_close", "seek", "topics"}
)


class Seldom(logging.Filter):
    """Lets a library's line through once a minute, however often it comes: aiokafka says 180
    lines a second while a broker is away. The next one says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}  # last time, left out

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is to be written."""
        said = record.msg
        event = said.get("event") if isinstance(said, dict) else said
        if record.name.startswith("tickertape") and event not in LOOPS:
            return True
        key = (record.name, record.levelno, str(event)[:200])
        now = time.monotonic()
        last, left_out = self._seen.get(key, (float("-inf"), 0))
        if now - last < QUIET_SECONDS:
            self._seen[key] = (last, left_out + 1)
            return False
        if len(self._seen) >= LINES_MAX:
            self._seen.clear()
        self._seen[key] = (now, 0)
        if left_out and isinstance(said, dict):
            record.msg = {**said, "left_out": left_out}
        elif left_out:
            record.left_out = left_out
        return True


def configure(settings: Settings) -> None:
    """Set up structlog and logging. A second call replaces the first."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    readable = settings.log_file is None and sys.stdout.isatty()
    render: list[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if readable
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ]
    )
    handler: dict[str, Any] = {"formatter": "main", "filters": ["seldom"]}
    if settings.log_file is not None:
        handler |= {"class": "logging.FileHandler", "filename": str(settings.log_file)}
    else:
        handler |= {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "main": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": [*shared, structlog.stdlib.ExtraAdder()],
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *render,
                    ],
                }
            },
            "filters": {"seldom": {"()": Seldom}},
            "handlers": {"main": handler},
            "root": {"handlers": ["main"], "level": settings.log_level},
            "loggers": {
                name: {"level": level, "handlers": [], "propagate": True}
                for name, level in NOISY.items()
            },
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelName(settings.log_level)
        ),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def to_stderr() -> None:
    """Set up structlog for a command: stdout is for its answer."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode(
        "utf-8", "replace"
    )
