"""Who uses the broker: one file a process, so that the last one to leave can tell."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tickertape.broker.process import Identity

KEEP = "keep"  # `broker start`: it stays until `broker stop`


class Users:
    """The folder of users. Call its methods under the broker's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self) -> None:
        """This process uses the broker."""
        self._folder.mkdir(parents=True, exist_ok=True)
        me = Identity.mine()
        (self._folder / str(me.pid)).write_text(json.dumps(asdict(me)), "ascii")

    def remove(self) -> None:
        """This process does not use it any more."""
        (self._folder / str(Identity.mine().pid)).unlink(missing_ok=True)

    def live(self) -> list[int]:
        """Return the pids that use it; files of processes that died are removed."""
        found = []
        for file in self._folder.glob("[0-9]*"):
            try:
                user = Identity(**json.loads(file.read_text("ascii")))
            except (OSError, ValueError, TypeError):
                user = None  # cut off: its writer died
            if user and user.alive:
                found.append(user.pid)
            else:
                file.unlink(missing_ok=True)
        return sorted(found)

    @property
    def kept(self) -> bool:
        """True where the broker stays without users."""
        return (self._folder / KEEP).exists()

    def keep(self, on: bool) -> None:
        """Let the broker stay without users, or not."""
        mark = self._folder / KEEP
        if on:
            self._folder.mkdir(parents=True, exist_ok=True)
            mark.touch()
        else:
            mark.unlink(missing_ok=True)
