"""The embedded broker as workers use it: started once, joined, killed, left, kept."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from testkit.broker import create_topic, free_port
from tickertape.broker import EmbeddedBroker, process
from tickertape.broker.config import HOST
from tickertape.errors import BrokerError

# A worker: joins, says so, waits for a line, leaves.
WORKER = """
import sys
from pathlib import Path
from tickertape.broker import EmbeddedBroker
broker = EmbeddedBroker(Path(sys.argv[1]), int(sys.argv[2]))
broker.join()
print(broker.status().pid, flush=True)
sys.stdin.readline()
broker.leave()
"""
Worker = subprocess.Popen[str]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker of the test's own, not started; whatever happens, it does not stay."""
    found = EmbeddedBroker(tmp_path / "Büro one", free_port())
    yield found
    found.kill()


def worker(broker: EmbeddedBroker) -> Worker:
    """Start a process that uses the broker."""
    command = [sys.executable, "-c", WORKER, str(broker.folder.parent), str(broker.port)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    )


def said(one: Worker) -> int:
    """The pid of the broker that the worker uses, once it does."""
    assert one.stdout is not None
    return int(one.stdout.readline())


def end(one: Worker) -> None:
    """Let the worker leave, cleanly."""
    one.communicate("\n", 60)
    assert one.returncode == 0


async def write(bootstrap: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(60):
        return [(await consumer.getone()).value for _ in range(count)]


async def test_data_outlives_a_kill_and_a_change_of_ports(own: EmbeddedBroker) -> None:
    steps: list[str] = []
    assert own.status().state == "stopped"
    await asyncio.to_thread(own.start, steps.append)
    assert steps[-1] == f"starting Apache Kafka 4.1.1 at {own.bootstrap}"
    cluster = own.status().cluster_id
    await create_topic(own.bootstrap, "kept", 2)
    await write(own.bootstrap, "kept", b"before the kill")

    assert await asyncio.to_thread(own.kill)
    assert own.status().state == "stopped"
    moved = EmbeddedBroker(own.folder.parent, free_port())
    await asyncio.to_thread(moved.start)
    await write(moved.bootstrap, "kept", b"after it")
    assert set(await read(moved.bootstrap, "kept", 2)) == {b"before the kill", b"after it"}
    assert moved.status().cluster_id == cluster

    with pytest.raises(BrokerError, match=f"set TICKERTAPE_BROKER_PORT={moved.port}"):
        await asyncio.to_thread(own.join)
    assert await asyncio.to_thread(own.stop)
    assert moved.status().state == "stopped"


def test_two_workers_at_once_get_one_broker_and_the_last_stops_it(own: EmbeddedBroker) -> None:
    one, two = worker(own), worker(own)
    pids = {said(one), said(two)}
    assert len(pids) == 1
    assert own.status().users == sorted([one.pid, two.pid])
    end(one)
    assert own.status().state == "running"
    end(two)
    assert own.status().state in {"stopping", "stopped"}  # it may take longer than a worker waits
    assert own.status().users == []
    own.join()  # waits for the end of the one before
    assert own.status().pid not in pids
    own.leave()


def test_a_killed_worker_neither_takes_it_along_nor_holds_it(own: EmbeddedBroker) -> None:
    one, two = worker(own), worker(own)
    broker = said(one)
    assert said(two) == broker
    one.kill()
    one.communicate()
    assert own.status().state == "running"
    assert own.status().users == [two.pid]
    end(two)
    assert own.status().pid is None or own.status().state == "stopping"


def test_started_by_hand_it_stays(own: EmbeddedBroker) -> None:
    own.start()
    pid = own.status().pid
    own.join()
    own.leave()
    found = own.status()
    assert (found.state, found.pid, found.kept) == ("running", pid, True)
    (own.folder / "pid.json").unlink()  # its starter was killed before it wrote it
    assert own.status().pid == pid
    own.join()
    assert own.stop()
    assert not own.stop()
    assert (own.status().state, own.status().kept) == ("stopped", False)


def test_another_kafka_at_the_port_is_left_alone(own: EmbeddedBroker, tmp_path: Path) -> None:
    own.start()
    other = EmbeddedBroker(tmp_path / "other", own.port)
    assert other.status().state == "foreign"
    with pytest.raises(BrokerError, match="TICKERTAPE_BROKER_PORT") as error:
        other.join()
    assert "KAFKA_BROKERS" in str(error.value)
    assert str(own.status().cluster_id) in str(error.value)
    assert not other.stop()
    assert own.status().state == "running"


def test_a_start_that_fails_says_why(own: EmbeddedBroker) -> None:
    own.start()
    own.stop()
    (own.folder / "data" / "recovery-point-offset-checkpoint").write_text("not a number\n")
    with pytest.raises(BrokerError, match="the broker ended at its start") as error:
        own.join()
    assert str(own.log) in str(error.value)
    assert "\n" not in str(error.value)
    assert own.status().state == "stopped"
    assert own.status().users == []


def test_an_unfinished_format_is_done_again(own: EmbeddedBroker) -> None:
    (own.folder / "data.new").mkdir(parents=True)
    (own.folder / "data.new" / "bootstrap.checkpoint").write_text("half")
    own.join()
    assert own.status().state == "running"
    assert not (own.folder / "data.new").exists()
    assert process.alive(own.status().pid or 0, str(own.folder / "server.properties"))
    assert own.bootstrap == f"{HOST}:{own.port}"
    own.leave()
