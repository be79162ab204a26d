"""The files in deploy/prometheus and the dashboard's queries, in a real Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from testkit import prometheus
from testkit.system import until
from tests.unit.test_monitoring import expressions
from tests.web_parts import parts
from web import register
from web.server import Runner

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "prometheus"

pytestmark = pytest.mark.skipif(not prometheus.installed(), reason=prometheus.MISSING)


def test_alerts_fire_when_they_should_and_not_else() -> None:
    done = prometheus.promtool("test", "rules", "alerts_test.yml", folder=FOLDER)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_configuration_is_one() -> None:
    done = prometheus.promtool("check", "config", "prometheus.yml", folder=FOLDER)
    assert done.returncode == 0, done.stderr
    assert "14 rules found" in done.stdout


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[str]:
    """A worker's web server; gives its address."""
    async with parts(tmp_path) as made:
        app = web.Application()
        register(app, lambda: made)
        runner = Runner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "{}:{}".format(*runner.addresses[0][:2])
        await runner.cleanup()


async def test_a_worker_is_scraped_and_every_query_is_answered(worker: str) -> None:
    config = (FOLDER / "prometheus.yml").read_text("utf-8")
    config = config.replace("worker:6066", worker).replace("15s", "1s")
    async with prometheus.server(config, [FOLDER / "alerts.yml"]) as client:
        await until(lambda: prometheus.query(client, 'up{job="tickertape"} == 1'), "a scrape")
        for expression in expressions():
            asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
            await prometheus.query(client, asked)
        groups = (await client.get("/api/v1/rules")).json()["data"]["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        alive = await prometheus.query(client, "tickertape_broker_up")
        assert [sample["metric"]["instance"] for sample in alive] == [worker]
