"""What someone types who has just cloned the repository: it works, and says so truthfully."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from testkit.broker import Broker, free_port, worker_env
from testkit.models import ensure_model, models_dir

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 420


@pytest.fixture
def environ(broker: Broker, tmp_path: Path) -> dict[str, str]:
    """An environment that names no broker and nothing of the developer's."""
    ensure_model()
    env = worker_env(broker, tmp_path / "data", TICKERTAPE_MODELS_DIR=str(models_dir()))
    del env["KAFKA_BROKERS"]
    return {**env, "TMPDIR": str(tmp_path)}


def demo(*args: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tickertape.demo", *args],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )


def test_smoke(environ: dict[str, str], tmp_path: Path) -> None:
    done = demo("--smoke", "--count", "40", environ=environ)
    *shown, last = done.stdout.splitlines()
    found = json.loads(last)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["ok"] is True
    assert found["checks"] == dict.fromkeys(
        ("batches", "stored_once", "summaries", "search", "passages", "stopped"), True
    )
    assert (found["documents"], found["texts"], found["summaries"]) == (40, 26, 40)
    assert found["stored"]["documents"] == 66
    assert found["stored"]["chunks"] > 66
    assert found["unchanged"] == found["dead"] == 0
    assert found["rate"] > 0
    assert found["search_ms"] > 0
    assert any("Fire at a supplier" in line for line in shown)
    assert not list(tmp_path.glob("tickertape-smoke-*")), "its folder is left behind"


def test_a_named_broker_is_left_as_it_was(environ: dict[str, str], broker: Broker) -> None:
    done = demo(
        "--smoke", "--count", "3", "--json", environ={**environ, "KAFKA_BROKERS": broker.bootstrap}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"] is True
    assert broker.bootstrap in done.stderr
    assert topics(broker) == set()


def test_the_second_run_finds_all_unchanged_and_ctrl_c_ends_it(
    environ: dict[str, str], tmp_path: Path
) -> None:
    ports = {"TICKERTAPE_BROKER_PORT": str(free_port()), "TICKERTAPE_WEB_PORT": "0"}
    first = until_it_stays({**environ, **ports}, tmp_path / "one")
    assert "ok    done          5 in" in first
    assert "unchanged" not in first
    second = until_it_stays({**environ, **ports}, tmp_path / "two")
    assert "5 were there already" in second
    assert "by meaning and by words" in second
    assert "Halvorsen reports" in second
    assert "Stopped in" in second


def test_a_worker_that_cannot_start_is_shown(environ: dict[str, str], broker: Broker) -> None:
    """The port of the embedded broker is another Kafka's."""
    done = demo(
        environ={
            **environ,
            "TICKERTAPE_BROKER_PORT": str(broker.port),
            "TICKERTAPE_WEB_PORT": "0",
        }
    )
    assert done.returncode == 1
    assert "exit code 1" in done.stdout
    assert "is taken by Kafka cluster" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr


def until_it_stays(environ: dict[str, str], output: Path) -> str:
    """Run the demo until it only stays, end it as Ctrl-C does, and return what it printed."""
    with output.open("w+") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tickertape.demo", "--count", "3"],
            cwd=ROOT,
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + SECONDS_MAX
            while "Ctrl-C ends it" not in output.read_text():
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, output.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    log = re.search(r"Log: (\S+)", output.read_text())
    assert log
    assert (ROOT / log[1]).is_file()
    return output.read_text()


def topics(broker: Broker) -> set[str]:
    """Return the topics of smoke runs; other tests make others meanwhile."""

    async def ask() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        try:
            return set(await admin.list_topics())
        finally:
            await admin.close()

    return {name for name in asyncio.run(ask()) if "smoke-" in name}
