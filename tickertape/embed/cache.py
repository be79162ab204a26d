"""The model cache: ``<root>/<organisation>/<model>/<precision>/``, each complete or not there.

A model is made in a folder beside its place and renamed into it, under a lock that the
processes of a machine share. What is read is checked against its manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

from tickertape.embed import manifest
from tickertape.embed.manifest import BadManifest, Manifest, ModelFiles

log = logging.getLogger(__name__)


class Cache:
    """The models that one folder holds."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def home(self, name: str) -> Path:
        """Return the folder of all precisions of a model; a local model's has a hash in it."""
        source = Path(name).expanduser()
        if source.is_dir():
            source = source.resolve()
            tag = hashlib.blake2b(str(source).encode(), digest_size=4).hexdigest()
            return self.root / "local" / f"{source.name}-{tag}"
        return self.root.joinpath(*(part for part in name.split("/") if part not in {"", ".."}))

    def get(self, name: str, precision: str, revision: str | None = None) -> ModelFiles | None:
        """Return the model if it is complete, as its manifest says, and of this revision."""
        folder = self.home(name) / precision
        if not folder.is_dir():
            return None
        try:
            model = manifest.read(folder)
        except BadManifest as error:
            log.warning("a cached model is passed over: %s", error)
            return None
        if revision is not None and model.manifest.revision != revision:
            return None
        return model

    def put(self, name: str, precision: str, make: Callable[[Path], Manifest]) -> ModelFiles:
        """Let ``make`` fill an empty folder, and put that in the place of what there is.

        Call it under `lock`. What ``make`` raises leaves the cache as it was.
        """
        target = self.home(name) / precision
        fresh, old = (target.with_name(f".{precision}.{part}") for part in ("new", "old"))
        shutil.rmtree(fresh, ignore_errors=True)  # of a process that was killed
        fresh.mkdir(parents=True)
        try:
            manifest.write(fresh, make(fresh))
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        return manifest.read(target)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the model's place against the other processes of this machine."""
        home = self.home(name)
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock"):
            yield

    def downloads(self, name: str) -> Path:
        """Return the folder for half-finished downloads, which are taken up again."""
        return self.home(name) / ".download"
