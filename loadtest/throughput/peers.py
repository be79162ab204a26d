"""Others that embed the same texts with the same model, where they can be installed.

Each has an environment of its own under the data folder, made when it is first asked for:
infinity's server (torch, its default engine), asked over HTTP for 32 texts at a time, with eight
requests under way; and a Pathway pipeline from a topic into SQLite. Neither stores as Tickertape
does: infinity stores nothing, and Pathway is given all at once and commits no offsets here.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from loadtest import usage
from loadtest.corpus import Text
from loadtest.intake import Intake
from loadtest.processes import say
from loadtest.throughput.legs import START_SECONDS_MAX, Job, Leg, TopicLeg, Used, offline
from testkit.broker import free_port
from testkit.models import model_settings
from testkit.system import until
from tickertape.embed.export import CARRIER, CARRIER_MODULE

TORCH = ("torch>=2.13,<2.14", "transformers>=4.57,<4.58", CARRIER)
INFINITY = ("infinity-emb[server,torch]==0.0.78", *TORCH)
PATHWAY = ("pathway>=0.33,<0.34", "sentence-transformers>=5.7,<5.8", *TORCH)
INSTALL_SECONDS_MAX = 600.0
REQUEST_TEXTS = 32
REQUESTS = 8
NAME = "model"


class PeerMissing(Exception):
    """A peer cannot be had; one line says why."""


class Infinity(Leg):
    """infinity's embedding server."""

    name = "infinity"
    engine = "torch fp32"

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{port}"

    @classmethod
    async def start(cls, log: Path) -> Infinity:
        """Start the server and wait until it has loaded the model."""
        python = await asyncio.to_thread(_environment, "infinity", INFINITY)
        where = f"import {CARRIER_MODULE} as carrier; print(carrier.get_model_path())"
        model = await asyncio.to_thread(lambda: _printed(python, where))
        port = free_port()
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(str(python.with_name("infinity_emb")), "v2", "--port", str(port)),
                *("--model-id", model.strip(), "--served-model-name", NAME),
                *("--engine", "torch", "--device", "cpu", "--no-model-warmup"),
                stdout=file,
                stderr=file,
                cwd=log.parent,
                env=offline(),
            )
        leg = cls(process, port)
        await until(leg._answers, f"infinity to answer: see {log}")
        return leg

    async def _answers(self) -> bool:
        if self._process.returncode is not None:
            raise PeerMissing(f"the server ended with {self._process.returncode}")
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{self._url}/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def run(self, texts: Sequence[Text]) -> Used:
        requests = [
            [text.text for text in texts[first : first + REQUEST_TEXTS]]
            for first in range(0, len(texts), REQUEST_TEXTS)
        ]
        waiting = iter(requests)
        before, began = usage.cpu_seconds(self.pid), time.perf_counter()
        async with httpx.AsyncClient(timeout=START_SECONDS_MAX) as client:

            async def ask() -> None:
                for given in waiting:
                    body = {"model": NAME, "input": given, "encoding_format": "base64"}
                    answer = await client.post(f"{self._url}/embeddings", json=body)
                    found = len(answer.raise_for_status().json()["data"])
                    assert found == len(given), f"{found} vectors for {len(given)} texts"

            await asyncio.gather(*(ask() for _ in range(REQUESTS)))
        seconds = time.perf_counter() - began
        return Used(len(texts), seconds, usage.cpu_seconds(self.pid) - before)

    async def stop(self) -> None:
        """Stop the server."""
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid


class Pathway(TopicLeg):
    """A Pathway pipeline."""

    name = "pathway"

    @classmethod
    async def start(cls, into: Intake) -> Pathway:
        """Start its process."""
        python = await asyncio.to_thread(_environment, "pathway", PATHWAY)
        module = "loadtest.throughput.pathway_job"
        folder = into.bench.folder
        job = await Job.start(python, module, CARRIER_MODULE, env=offline(), folder=folder)
        return cls(job, into)


@asynccontextmanager
async def peers(into: Intake) -> AsyncIterator[tuple[Sequence[Leg], dict[str, str]]]:
    """Yield the peers that run, and why others do not."""
    legs: list[Infinity | Pathway] = []
    missing: dict[str, str] = {}
    try:
        for name, start in (
            ("infinity", lambda: Infinity.start(into.bench.folder / "infinity.log")),
            ("pathway", lambda: Pathway.start(into)),
        ):
            try:
                legs.append(await start())
            except (PeerMissing, AssertionError, OSError, TimeoutError) as error:
                missing[name] = str(error) or type(error).__name__
        yield legs, missing
    finally:
        for leg in legs:
            await leg.stop()


def _printed(python: Path, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout


def _environment(name: str, requirements: Sequence[str]) -> Path:
    """Make an environment, where there is none with these requirements; return its Python.

    Raises:
        PeerMissing: pip could not install it, or not in time.
    """
    folder = model_settings().data_dir.absolute() / "peers" / name
    python = folder / "bin" / "python"
    done = folder / ".installed"
    wanted = "\n".join(requirements)
    if done.is_file() and done.read_text("utf-8") == wanted:
        return python
    say(f"installing {name}")
    pip = [str(python), "-m", "pip", "install", "--quiet", *requirements]
    try:
        for command in ([sys.executable, "-m", "venv", str(folder)], pip):
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX
            )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PeerMissing(f"cannot be installed: {last}") from None
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"not installed within {INSTALL_SECONDS_MAX:.0f} s") from None
    done.write_text(wanted, "utf-8")
    return python
