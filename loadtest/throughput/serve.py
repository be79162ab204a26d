"""A leg's process: one JSON object a line on stdin is a command, its answer is one on stdout.

Imports nothing: legs run in environments that have nothing of ours.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Handler = Callable[..., dict[str, Any]]


def serve(handlers: dict[str, Handler]) -> None:
    """Answer commands until stdin ends: ``do`` names the handler, the rest are its arguments."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        found = handlers[command.pop("do")](**command)
        print(json.dumps(found), file=answers, flush=True)


class Clock:
    """Seconds that pass, and CPU seconds that this process uses, in the block."""

    def __enter__(self) -> Clock:
        self._began, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.used = {
            "seconds": time.perf_counter() - self._began,
            "cpu": time.process_time() - self._cpu,
        }
