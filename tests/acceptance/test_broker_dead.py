"""A broker that is dead is said everywhere; the embedded one is started again by its worker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from testkit.broker import free_port
from testkit.system import System, Worker, documents, until

LINES_MAX = 60  # of the log, in what it takes to say it and to see it mended


def lines(worker: Worker) -> int:
    return len(worker.log.read_text("utf-8").splitlines())


async def test_a_dead_broker_looks_dead_everywhere(own_system: System):
    worker = await own_system.worker()
    before = lines(worker)
    await asyncio.to_thread(own_system.broker.kill)

    async def said() -> bool:
        reply = await worker.get("/readyz")
        return reply.status_code == 503 and "no broker answers at" in reply.text

    await until(said, f"/readyz to say it:\n{worker.tail()}")
    health = await worker.json("/health")
    assert health["status"] == "unready"
    assert health["unready"]["kafka"].startswith("no broker answers at localhost:")
    flows = (await worker.json("/stats"))["flows"]
    assert {flow["lag"] for flow in flows} == {None}, "unknown, not 0"

    async def exposed() -> bool:
        text = (await worker.get("/metrics")).text
        return "tickertape_broker_up 0.0" in text and "tickertape_consumer_lag{" not in text

    await until(exposed, "the metrics to say it")

    async def logged() -> bool:
        return "broker_down" in worker.log.read_text("utf-8")

    await until(logged, "the log to say it")
    assert (await worker.get("/livez")).status_code == 200
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}") as client:
        reply = await client.post("/documents", json={"text": "one"}, timeout=60)
    assert (reply.status_code, "no broker answers" in reply.text) == (503, True), reply.text
    assert lines(worker) - before < LINES_MAX

    await asyncio.to_thread(own_system.broker.start)

    async def well() -> bool:
        return (await worker.get("/readyz")).status_code == 200

    await until(well, f"/readyz to be well again:\n{worker.tail()}")
    batch = await own_system.declare(5)
    await own_system.send(own_system.settings.topic_text_messages, documents(5, batch))
    assert (await own_system.finished(worker, batch))["done"] == 5
    assert "tickertape_broker_up 1.0" in (await worker.get("/metrics")).text


async def test_an_embedded_broker_that_died_is_started_again(own_system: System, tmp_path: Path):
    from tickertape.broker import EmbeddedBroker

    port = free_port()
    own = EmbeddedBroker(tmp_path / "own", port)
    own_system.configure(
        KAFKA_BROKERS="",
        TICKERTAPE_BROKER_PORT=str(port),
        TICKERTAPE_DATA_DIR=str(tmp_path / "own"),
    )
    worker = await own_system.worker()
    first = own.status().pid
    await asyncio.to_thread(own.kill)

    async def runs() -> bool:
        status = own.status()
        return status.state == "running" and status.pid != first

    await until(runs, f"the broker to run again:\n{worker.tail()}")

    async def well() -> bool:
        return (await worker.get("/readyz")).status_code == 200

    await until(well, f"the worker to be well:\n{worker.tail()}")
    await worker.stop()
    assert own.status().state == "stopped", "its last user stopped it"
