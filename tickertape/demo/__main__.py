"""The command: ``python -m tickertape.demo [--smoke] [--count N] [--json]``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import httpx

from tickertape.broker import EmbeddedBroker
from tickertape.cli.failure import one_line
from tickertape.demo import isolated
from tickertape.demo.checks import EXPLAINED, Check, checks
from tickertape.demo.child import WorkerDied, WorkerProcess
from tickertape.demo.corpus import Corpus, corpus
from tickertape.demo.follow import DemoError
from tickertape.demo.run import Demo, RunOutcome
from tickertape.demo.screen import Screen
from tickertape.errors import TickertapeError
from tickertape.settings import Settings, load

COUNT = 300
SMOKE_COUNT = 60
WATCH_SECONDS = 0.5
# Progress is told a window at a time: with the default of 512 the bars would jump.
SMALL_WINDOWS = {"TICKERTAPE_WINDOW_RECORDS": "32"}
INTERRUPTED = 130
SIGNALLED = "interrupted"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("demo")
@click.option("--smoke", is_flag=True, help="Isolated, ends by itself, checks what it shows.")
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    help=f"Financial documents; two texts go with each three.  [default: {COUNT}; "
    f"{SMOKE_COUNT} with --smoke]",
)
@click.option("--json", "as_json", is_flag=True, help="Stdout has the figures only, as JSON.")
def main(smoke: bool, count: int | None, as_json: bool) -> None:
    """Start Kafka and a worker, send sample documents, and show what comes out."""
    root = _root()
    screen = Screen(stderr=as_json)
    sent = corpus(count or (SMOKE_COUNT if smoke else COUNT))
    surroundings = isolated.environment(root) if smoke else contextlib.nullcontext()
    with one_line(), surroundings:
        code = asyncio.run(_run(root, screen, sent, smoke=smoke, as_json=as_json))
        if code:
            raise SystemExit(code)  # inside, so that the smoke run's folder is kept


async def _run(root: Path, screen: Screen, sent: Corpus, *, smoke: bool, as_json: bool) -> int:
    settings = load(root)
    port = _port(settings)
    log = settings.data_dir.expanduser().absolute() / "demo" / "worker.log"
    environ = {**SMALL_WINDOWS, **os.environ, "TICKERTAPE_WEB_PORT": str(port)}
    worker = WorkerProcess(root, log, environ)
    address = f"http://{_reachable(settings.web_host)}:{port}/"
    async with (
        isolated.topics(settings) if smoke else contextlib.nullcontext(),
        httpx.AsyncClient(base_url=address, timeout=30.0, trust_env=False) as http,
    ):
        demo = Demo(settings, sent, screen, worker, http, address)
        steps = _checked(demo) if smoke else _shown(demo, as_json)
        found, error = await _until_signal(steps, screen, worker)
        stopped = await _stop(screen, worker, quiet=smoke)
        if settings.embedded_broker:  # left alone where the worker was killed
            await asyncio.to_thread(EmbeddedBroker(settings.data_dir, settings.broker_port).leave)
    if not smoke:
        return INTERRUPTED if error == SIGNALLED else 0 if found is not None and stopped else 1
    found = [] if error or found is None else [*found, ("stopped", _left(settings, stopped))]
    return _report(screen, demo.outcome, sent, found, error)


async def _until_signal(
    steps: Any, screen: Screen, worker: WorkerProcess
) -> tuple[list[Check] | None, str]:
    """Return what the steps return, or None and what went wrong."""
    task = asyncio.ensure_future(steps)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        # Once the task is over this does nothing: a second Ctrl-C does not disturb the stop.
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task, ""
    except asyncio.CancelledError:
        return None, SIGNALLED
    except WorkerDied as died:
        screen.wrong(f"{died}. Its last lines:", died.tail, str(worker.log))
        return None, str(died)
    except (TickertapeError, httpx.HTTPError) as failed:
        message = str(failed) or type(failed).__name__
        screen.wrong(message, worker.tail(), str(worker.log))
        return None, message


async def _shown(demo: Demo, as_json: bool) -> list[Check]:
    """All steps; then stay until a signal comes."""
    outcome = await demo.run()
    if as_json:
        print(json.dumps(figures(outcome, demo.corpus)), flush=True)
    screen = demo.screen
    faust = _command()
    screen.title("It goes on running")
    screen.line(f"  {demo.address:34}  the page: search, batches, flows", "bold")
    screen.line(f"  {demo.address + 'docs':34}  its HTTP interface")
    screen.line()
    screen.line("  In another terminal, from this folder:")
    for example in (
        'send "Acme raised its outlook for the year to 4.2 billion dollars."',
        'search "who raised the outlook?"',
        "send financial-documents --file my-filings/",
    ):
        screen.line(f"    {faust} {example}", "cyan")
    screen.line()
    screen.line(f"  Log: {_short(demo.worker.log)}", "dim")
    screen.line("  Ctrl-C ends it. What is stored stays.", "dim")
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            demo.worker.check()
            await asyncio.sleep(WATCH_SECONDS)
    return []


async def _checked(demo: Demo) -> list[Check]:
    outcome = await demo.run()
    return await checks(demo.corpus, outcome, demo.http)


async def _stop(screen: Screen, worker: WorkerProcess, *, quiet: bool) -> bool:
    if not worker.running:
        return True
    begun = time.monotonic()
    if not quiet:
        screen.line()
    with screen.waiting("stopping: the worker finishes what it has in hand"):
        stopped = await worker.stop()
    if not stopped:
        screen.wrong("the worker did not end by itself and was killed", worker.tail())
    elif not quiet:
        screen.line(f"Stopped in {time.monotonic() - begun:.1f} s.", "dim")
    return stopped


def figures(outcome: RunOutcome, sent: Corpus) -> dict[str, Any]:
    """Return what a run measured; times in seconds, the rate in records a second."""
    seconds = outcome.seconds
    return {
        "documents": len(sent.documents),
        "texts": len(sent.texts),
        "seconds": round(seconds, 3),
        "rate": round(len(sent) / seconds, 1) if seconds else None,
        "start_seconds": round(outcome.start_seconds, 3),
        "stored": asdict(outcome.counts),
        "summaries": len(outcome.summaries),
        "unchanged": outcome.total("unchanged"),
        "dead": outcome.total("dead"),
        "search_ms": outcome.search.get("took_ms"),
        "model": outcome.health.get("model"),
        "summarizer": outcome.health.get("summarizer"),
    }


def _report(
    screen: Screen, outcome: RunOutcome, sent: Corpus, found: list[Check], error: str
) -> int:
    """Print the checks and, as the last line, all figures as JSON; return the exit code."""
    if found:
        screen.title("Checks")
    for name, wrong in found:
        screen.step(name, wrong or EXPLAINED[name], ok=not wrong)
    ok = bool(found) and not any(wrong for _, wrong in found)
    report = {
        "ok": ok,
        **figures(outcome, sent),
        "checks": {name.replace(" ", "_"): not wrong for name, wrong in found},
        "error": error or None,
    }
    screen.line()
    print(json.dumps(report), flush=True)
    return 0 if ok else 1


def _left(settings: Settings, stopped: bool) -> str:
    """What is wrong with the way it ended."""
    if not stopped:
        return "the worker had to be killed"
    if settings.embedded_broker:
        state = EmbeddedBroker(settings.data_dir, settings.broker_port).status().state
        return "" if state in {"stopped", "stopping"} else f"the broker is still {state}"
    return ""


def _root() -> Path:
    """The folder of app.py: the checkout's, else this one, where the library is installed."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "app.py").is_file() else Path.cwd()


def _port(settings: Settings) -> int:
    """Return the port of the worker's page. Raises `DemoError` when it is taken."""
    host, port = settings.web_host, settings.web_port
    try:
        with socket.create_server((host, port)) as server:
            return int(server.getsockname()[1])
    except OSError as error:
        raise DemoError(
            f"{host}:{port}: {os.strerror(error.errno or 0)}. Is a worker running already? "
            "Stop it, or choose another port: TICKERTAPE_WEB_PORT=0 picks a free one"
        ) from None


def _reachable(host: str) -> str:
    """An address to connect to, for one to listen on."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"[{host}]" if ":" in host else host


def _command() -> str:
    """How faust is called from here."""
    return f"{_short(Path(sys.executable).with_name('faust'))} -A app"


def _short(path: Path) -> Path:
    """The path from here, where it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    main(prog_name="python -m tickertape.demo")
