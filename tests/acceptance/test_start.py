"""A wrong or missing setting stops the start: one line that names it, exit code 1."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path

from testkit.broker import free_port
from testkit.system import ROOT, WAIT_SECONDS_MAX, System, until

SECRET = "sk-do-not-show-me"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


async def run(*args: str, env: dict[str, str]) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *args, cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), WAIT_SECONDS_MAX)
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def test_each_mistake_is_one_line(system: System, tmp_path: Path):
    taken = socket.create_server(("127.0.0.1", 0))
    unused = free_port()
    mistakes: dict[str, dict[str, str]] = {
        r"TICKERTAPE_WEB_PORT: .* integer.* 'http'": {"TICKERTAPE_WEB_PORT": "http"},
        r"TICKERTAPE_WEB_PORT: 127\.0\.0\.1:\d+ cannot be listened on": {
            "TICKERTAPE_WEB_PORT": str(taken.getsockname()[1])
        },
        r"TICKERTAPE_STORES: expected one of .*, got 'oracle'": {
            "TICKERTAPE_STORES": "sqlite,oracle",
            "KAFKA_BROKERS": f"localhost:{unused}",
        },
        rf"no Kafka broker answers at localhost:{unused}: .* KAFKA_BROKERS": {
            "KAFKA_BROKERS": f"localhost:{unused}"
        },
        r"port \d+ is taken by Kafka cluster .*: set KAFKA_BROKERS": {
            "KAFKA_BROKERS": "",
            "TICKERTAPE_BROKER_PORT": str(system.broker.port),
        },
        r"all-MiniLM-L6-v2 is not in .*TICKERTAPE_OFFLINE.*export-model": {
            "TICKERTAPE_MODELS_DIR": str(tmp_path / "models"),
            "TICKERTAPE_OFFLINE": "1",
        },
        r"cannot open the store /proc/.*": {"TICKERTAPE_DATA_DIR": "/proc/none"},
        r"LLM_API_KEY: expected printable ASCII": {
            "LLM_URL": "http://localhost/v1",
            "LLM_API_KEY": f"{SECRET}\u2026",
        },
    }
    two = asyncio.Semaphore(2)  # each is mostly imports

    async def start(more: dict[str, str]) -> Ended:
        async with two:
            env = {**system.env, "TICKERTAPE_WEB_PORT": "0", **more}
            return await run("-m", "faust", "-A", "app", "worker", env=env)

    with taken:
        ended = await asyncio.gather(*map(start, mistakes.values()))
    for expected, found in zip(mistakes, ended, strict=True):
        assert found.code == 1, (expected, found)
        (line,) = found.err.splitlines()
        assert re.search(expected, line), (expected, found)
        assert "Traceback" not in found.out
        assert SECRET not in found.out + found.err


async def test_app_py_says_what_to_type(system: System):
    found = await run("app.py", env=system.env)
    assert (found.code, found.out) == (2, "")
    assert found.err.splitlines() == ["app.py is not run by itself: type  faust -A app worker"]


async def test_port_0_picks_a_free_one_and_says_which(system: System):
    worker = await system.starting(TICKERTAPE_WEB_PORT="0")

    async def said() -> str:
        found = re.search(r'"address":"http://127.0.0.1:(\d+)/"', worker.log.read_text())
        return found[1] if found else ""

    worker.port = int(await until(said, "the worker to say its port"))
    await worker.ready()
    assert worker.port not in (0, 6066)
    assert await worker.stop() == 0
    lines = worker.log.read_text().splitlines()
    assert all(json.loads(line)["level"] == "info" for line in lines), worker.tail()
