"""Which of several engines is the fastest here: all side by side, in a process of its own.

Measured once for a CPU and a set of candidates, and kept beside the model, so that workers that
share a cache agree, and a restart does not change the vectors. Another CPU is measured anew.
In a process of its own, because what an engine loads stays in memory.

What counts is core-seconds: those that an engine used, and those that it left idle. What other
programs take meanwhile is not counted: by the clock, a busy machine gave one engine 2,400 and
12,100 tokens a second within a minute, and the CPU time of a token was the same within 2 %.

Usage: ``python -m tickertape.embed.trial JSON``, as `measure` calls it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tickertape.embed import cpu, manifest
from tickertape.embed.base import Embedder
from tickertape.embed.engine import cores
from tickertape.embed.lanes import embed
from tickertape.embed.manifest import ModelFiles
from tickertape.errors import StartError
from tickertape.samples import samples
from tickertape.settings import Settings

log = logging.getLogger(__name__)

KEPT = "engines.json"
DOCUMENTS = 3  # of the samples, as chunks, and their paragraphs one by one
SECONDS = 1.0  # of work for each candidate; of two, with loading them, three to six in all
ROUNDS_MIN = 3
SECONDS_MAX = 300.0  # of all; a large model on a slow CPU

Rates = dict[str, float]  # a candidate's name: tokens a second, had it all cores to itself


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine of the registry, and the files that it would run."""

    engine: str
    model: ModelFiles

    @property
    def name(self) -> str:
        """What its rate is kept under: other files of that name are measured anew."""
        return f"{self.engine} {self.model.manifest.precision}"


def kept(home: Path, names: Sequence[str]) -> Rates | None:
    """Return what was measured on this CPU of just these candidates, if anything was."""
    try:
        found: Any = _read(home)[_race(names)]
        return {name: float(found[name]) for name in names}
    except (KeyError, TypeError, ValueError):
        return None


def keep(home: Path, rates: Rates) -> None:
    """Keep what was measured on this CPU; where the folder cannot be written, say so."""
    try:
        fresh = home / f".{KEPT}"
        fresh.write_text(json.dumps({**_read(home), _race(list(rates)): rates}, indent=2) + "\n")
        fresh.replace(home / KEPT)
    except OSError as error:
        log.warning("which engine is the fastest is measured at each start: %s", error)


def forget(home: Path) -> None:
    """Let the next start measure again."""
    (home / KEPT).unlink(missing_ok=True)


def measure(settings: Settings, candidates: Sequence[Candidate]) -> Rates:
    """Return tokens a second of each candidate, 0 for one that cannot run; blocks for seconds.

    Empty where the measurement itself failed.
    """
    job = {
        "candidates": [[each.engine, str(each.model.folder)] for each in candidates],
        "threads": settings.threads,
        "batch_tokens": settings.batch_tokens,
        "chunk_tokens": settings.chunk_tokens,
    }
    command = [sys.executable, "-m", "tickertape.embed.trial", json.dumps(job)]
    try:
        run = subprocess.run(  # noqa: S603 - ourselves
            command, capture_output=True, text=True, timeout=SECONDS_MAX, check=True
        )
        rates, wrong = json.loads(run.stdout.splitlines()[-1])
        found = dict(zip((each.name for each in candidates), map(float, rates), strict=True))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, IndexError) as error:
        log.warning("the engines could not be compared: %s", _reason(error))
        return {}
    for line in wrong:
        log.warning("an engine cannot run: %s", line)
    return found


def _race(names: Sequence[str]) -> str:
    return f"{cpu.describe()}: {', '.join(names)}"


def _read(home: Path) -> dict[str, Any]:
    try:
        found = json.loads((home / KEPT).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(error: Exception) -> str:
    said = str(getattr(error, "stderr", None) or "").strip().splitlines()
    return said[-1] if said else f"{type(error).__name__}: {str(error)[:200]}"


def main(job: Mapping[str, Any]) -> tuple[list[float], list[str]]:
    """Load the candidates and measure them in turns.

    Returns tokens a second of each, and a line for each that cannot run.
    """
    # The registry is above this module, which is here a process of its own.
    from tickertape.embed import build

    racers: dict[int, Embedder] = {}
    wrong = []
    for index, (engine, folder) in enumerate(job["candidates"]):
        try:
            model = manifest.read(Path(folder))
            racers[index] = build(engine, model, device="cpu", threads=job["threads"])
        except (StartError, ImportError) as error:
            wrong.append(str(error))
    work = {n: _sequences(embedder, job["chunk_tokens"]) for n, embedder in racers.items()}
    spent = dict.fromkeys(racers, 0.0)
    rounds, begun = 0, time.perf_counter()
    while racers and (rounds <= ROUNDS_MIN or time.perf_counter() - begun < SECONDS * len(racers)):
        for index, embedder in racers.items():
            before = _core_seconds()
            embed(embedder, work[index], job["batch_tokens"])
            if rounds:  # the first one warms up
                spent[index] += _core_seconds() - before
        rounds += 1
    rates = [0.0] * len(job["candidates"])
    for index, seconds in spent.items():
        tokens = (rounds - 1) * sum(map(len, work[index]))
        rates[index] = round(tokens * cores() / max(seconds, 1e-3), 1)
    return rates, wrong


def _core_seconds() -> float:
    """CPU time of this process, and what the cores that it may use were idle: all that was not
    other programs'."""
    mine = (
        os.sched_getaffinity(0)
        if hasattr(os, "sched_getaffinity")
        else range(psutil.cpu_count() or 1)
    )
    times = psutil.cpu_times(percpu=True)
    idle = sum(times[n].idle + getattr(times[n], "iowait", 0.0) for n in mine if n < len(times))
    return time.process_time() + float(idle)


def _sequences(embedder: Embedder, chunk_tokens: int) -> list[list[int]]:
    """What a worker would embed: a document's chunks, and short texts."""
    found = [str(each["text"]) for each in samples(DOCUMENTS)]
    texts = [*found, *(part for text in found for part in text.split("\n") if part.strip())]
    size = min(embedder.max_tokens, chunk_tokens) - embedder.special_tokens
    pieces: list[list[int]] = []
    for each in embedder.tokenize(texts):
        ids = list(each.ids)
        pieces += [ids[start : start + size] for start in range(0, len(ids), size)]
    return pieces


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
