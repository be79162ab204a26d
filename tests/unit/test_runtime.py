"""The worker's parts: opened in order, closed in the other, whatever fails; and how it stands."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from runtime import Worker, lifecycle, process
from tickertape import flows, followers, kafka_admin
from tickertape.delivery.spec import Spec, TopicRoute
from tickertape.errors import BrokerError, OutageError, SettingsError, StoreError
from tickertape.followers import Fill
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings
from worker import TickertapeApp


class Part:
    """Writes down what is asked of it; fails where it is told to."""

    dependency: str | None = None

    def __init__(self, name: str, told: list[str], fails: str = "") -> None:
        self.name = name
        self.down = False
        self.caught_up = True
        self._told = told
        self._fails = fails

    async def start(self) -> None:
        self._say("start")

    async def stop(self) -> None:
        self._say("stop")

    async def ping(self) -> None:
        if self.down:
            raise RuntimeError(f"{self.name} is away")

    async def expire(self, before: float) -> None: ...

    async def open_count(self) -> int:
        return 0

    async def send(self, records: Any) -> Any:
        raise AssertionError("nothing is sent")

    async def reachable(self) -> bool:
        return True

    def _say(self, what: str) -> None:
        self._told.append(f"{what} {self.name}")
        if self._fails == what:
            raise RuntimeError(f"{self.name} cannot {what}")


@pytest.fixture
def untuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "tune", lambda: None)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def worker(tmp_path: Path, told: list[str], untuned: None) -> Worker:
    settings = Settings(_env_file=None, brokers="kafka:9092", data_dir=tmp_path)
    made = Worker(TickertapeApp(settings))
    made.publisher = cast(Any, Part("publisher", told))
    made.batches = cast(Any, Part("batches", told))
    store, llm = Part("sqlite", told), Part("llm", told)
    llm.dependency = "llm"
    letters = Part("letters", told)
    opened = SimpleNamespace(stores=[store], summarizer=llm, dead_letters=letters)
    made.standing.opened = cast(Any, opened)
    return made


async def test_what_was_started_last_is_stopped_first(worker: Worker, told: list[str]) -> None:
    await worker.start()
    await worker.close()
    assert told == ["start publisher", "start batches", "stop batches", "stop publisher"]
    await worker.close()
    assert len(told) == 4


async def test_one_that_cannot_start_is_stopped_with_those_before(
    worker: Worker, told: list[str]
) -> None:
    worker.batches = cast(Any, Part("batches", told, fails="start"))
    with pytest.raises(RuntimeError, match="batches cannot start"):
        await worker.start()
    await worker.close()
    assert told[-2:] == ["stop batches", "stop publisher"]


async def test_one_that_cannot_stop_keeps_nothing_else_open(
    worker: Worker, told: list[str]
) -> None:
    worker.batches = cast(Any, Part("batches", told, fails="stop"))
    await worker.start()
    with pytest.raises(RuntimeError, match="batches cannot stop"):
        await worker.close()
    assert told[-1] == "stop publisher"
    with pytest.raises(RuntimeError, match="not open"):
        _ = worker.services


async def test_background_tasks_end_with_the_worker(worker: Worker) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    worker.background.append(forever)
    await worker.started()
    await asyncio.wait_for(began.wait(), 10)
    await worker.close()
    assert ended.is_set()


def spec(name: str, stage: str | None, topic: str) -> Spec[Any]:
    async def handle(works: Any) -> Any:
        raise AssertionError("nothing comes")

    return Spec(name, {topic: TopicRoute(topic)}, lambda record: record, handle, stage=stage)


async def test_a_pause_lets_progress_go_on(worker: Worker) -> None:
    worker.add(spec("embed", "store", "text-messages"))
    worker.add(spec("progress", None, "batch-progress"))
    standing = worker.standing
    standing.pause()
    assert standing.paused
    assert [(flow.spec.name, flow.paused) for flow in worker.app.flows] == [
        ("embed", True),
        ("progress", False),
    ]
    standing.resume()
    assert not standing.paused
    assert [flow.state for flow in standing.flows()] == ["stopped", "stopped"]  # no partitions


async def test_only_lags_of_our_flows_are_told(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.add(spec("embed", "store", "text-messages"))
    lags = {"text-messages": {0: 2, 1: 3}, "a-changelog": {0: 9}}
    monkeypatch.setattr(worker.app, "lags", lambda: lags)
    assert worker.standing.lags() == {"text-messages": {0: 2, 1: 3}}
    (shown,) = worker.standing.flows()
    assert (shown.lag, shown.partitions) == (5, 2)


async def test_each_part_that_is_not_ready_is_named(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = worker.standing
    opened = standing.opened
    standing.opened = None
    assert standing.unready() == {"worker": "starting"}
    standing.opened = opened
    standing._batches = worker.batches
    assert standing.unready() == {"kafka": "no partitions assigned yet"}
    monkeypatch.setattr(worker.app, "_consuming", True)
    assert standing.unready() == {}

    services = worker.services
    (store,), llm = services.stores, services.summarizer
    cast(Any, store).down = cast(Any, llm).down = True
    cast(Any, worker.batches).caught_up = False
    await standing.ping_once()
    worker.breakers["llm"].open("llm: refused")
    assert standing.unready() == {
        "store:sqlite": "sqlite is away",
        "llm": "refused",  # what a call saw is newer
        "batches": "reading batch-status",
    }
    cast(Any, store).down = cast(Any, llm).down = False
    await standing.ping_once()
    worker.breakers["llm"].succeeded()
    assert standing.unready() == {"batches": "reading batch-status"}


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_the_collector_looks_seldom_and_not_at_what_stays(collector: None) -> None:
    process.tune()
    assert gc.get_threshold() == process.GC_THRESHOLDS
    assert gc.get_freeze_count() > 0


async def test_a_reason_does_not_say_its_name_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/readyz and the page put the name before it: "llm: llm: no connection" says it twice."""

    async def ping() -> None:
        raise OutageError("llm: no connection to vllm:8000", dependency="llm")

    monkeypatch.setattr(worker.services.summarizer, "ping", ping)
    await worker.standing.ping_once()
    assert worker.standing.unready()["llm"] == "no connection to vllm:8000"


async def test_open_letters_are_told_while_they_are_known(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([2, BrokerError("no Kafka broker answers"), 1])
    told = []
    standing = worker.standing

    async def open_count() -> int:
        found = next(counts)
        if isinstance(found, Exception):
            raise found
        return found

    async def slept(_seconds: float) -> None:
        told.append(standing._open_letters)
        if len(told) == 3:
            raise asyncio.CancelledError

    box = SimpleNamespace(open_count=open_count)
    monkeypatch.setattr(standing, "opened", SimpleNamespace(dead_letters=box))
    monkeypatch.setattr("runtime.standing.asyncio.sleep", slept)
    with pytest.raises(asyncio.CancelledError):
        await standing.count_letters()
    assert told == [2, None, 1]


async def test_what_goes_down_and_comes_back_is_said_once(worker: Worker) -> None:
    llm = cast(Any, worker.services.summarizer)
    with structlog.testing.capture_logs() as said:
        for llm.down in (True, True, False, False):
            await worker.standing.ping_once()
    assert [(line["event"], line["dependency"]) for line in said] == [
        ("not_ready", "llm"),
        ("ready_again", "llm"),
    ]
    assert said[0]["reason"] == "llm is away"


@pytest.fixture
def two(tmp_path: Path, told: list[str], untuned: None) -> Worker:
    """A worker with a second store, and its flow."""
    settings = Settings(
        _env_file=None, brokers="kafka:9092", data_dir=tmp_path, stores="sqlite,pgvector"
    )
    made = Worker(TickertapeApp(settings))
    made.publisher = cast(Any, Part("publisher", told))
    made.batches = cast(Any, Part("batches", told))
    stores = [Part("sqlite", told), Part("pgvector", told)]
    llm, letters = Part("llm", told), Part("letters", told)
    opened = SimpleNamespace(stores=stores, summarizer=llm, dead_letters=letters)
    made.standing.opened = cast(Any, opened)
    made.standing._batches = made.batches
    made.add(spec("store-pgvector", None, "told"))
    return made


async def test_a_store_beside_the_first_makes_a_worker_degraded_and_not_unready(
    two: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = two.standing
    monkeypatch.setattr(two.app, "_consuming", True)
    lags = {"told": {0: 0, 1: 3}}
    monkeypatch.setattr(two.app, "lags", lambda: lags)
    assert (standing.unready(), standing.degraded()) == ({}, {})
    assert standing.store_lags() == {"pgvector": 3}
    first, second = two.services.stores
    cast(Any, second).down = True
    await standing.ping_once()
    assert standing.unready() == {}
    assert standing.degraded() == {"store:pgvector": "pgvector is away; 3 documents behind"}
    cast(Any, second).down = False
    await standing.ping_once()
    two.breakers["store:pgvector"].open("store:pgvector: no connection")
    assert standing.unready() == {}
    assert standing.degraded() == {"store:pgvector": "no connection; 3 documents behind"}
    two.breakers["store:pgvector"].succeeded()
    lags["told"][0] = 5000
    assert standing.degraded() == {"store:pgvector": "5003 documents behind"}
    cast(Any, first).down = True
    await standing.ping_once()
    assert standing.unready() == {"store:sqlite": "sqlite is away"}


async def test_a_store_beside_the_first_is_opened_however_late(
    two: Worker, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "OPEN_AGAIN_SECONDS", 0.01)
    second = cast(Any, two.services.stores[1])
    tries = iter(
        [StoreError("store pgvector: refused"), StoreError("store pgvector: refused again"), None]
    )
    opened, refused = asyncio.Event(), asyncio.Event()

    async def start() -> None:
        if (error := next(tries)) is not None:
            if "again" in str(error):
                refused.set()
                await asyncio.sleep(0)
            raise error
        opened.set()

    second.start = start
    await two.start()
    await asyncio.wait_for(refused.wait(), 10)
    assert two.standing.degraded()["store:pgvector"] in ("refused", "refused again")
    await asyncio.wait_for(opened.wait(), 10)
    await asyncio.sleep(0)
    assert two.standing.degraded() == {}
    assert "start sqlite" not in told  # it was open before
    await two.close()


async def test_a_store_becomes_the_first_only_over_what_came_since_it_is(
    two: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another took as the first, while this one did not follow, it does not have."""
    topic = flows.follower("sqlite").topic(two.settings)
    told: list[Fill] = []

    async def waiting(_at: object, _group: str, _topic: str) -> AsyncIterator[object]:
        for out in (followers.fill(topic, step) for step in told):
            yield SimpleNamespace(
                topic=topic,
                partition=0,
                offset=0,
                key=out.key,
                value=out.value,
                headers=(),
                timestamp=1,
            )

    async def none(_at: object, _names: object) -> list[str]:
        return []

    async def left(_at: object, _settings: Settings) -> list[str]:
        return [topic]

    monkeypatch.setattr(kafka_admin, "waiting", waiting)
    monkeypatch.setattr(kafka_admin, "empty", none)
    monkeypatch.setattr(kafka_admin, "followers_left", left)
    (said,) = await two._fills_to_begin()
    own = followers.read(Record(topic, 0, 0, said.key, said.value, (), 1))
    assert own == Fill(left=True, first="sqlite")
    told = [own, own]
    assert await two._fills_to_begin() == [said]
    for first in ("pgvector", ""):  # the latter: said before the first was named
        told = [Fill(left=True, first=first), own]
        with pytest.raises(SettingsError, match="sqlite was not first"):
            await two._fills_to_begin()


async def test_what_fills_a_new_store_is_sent_before_anything_is_consumed(
    two: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Outgoing] = []

    async def send(records: Sequence[Outgoing]) -> list[Exception | None]:
        sent.extend(records)
        return [None] * len(records)

    fill = followers.fill("told", Fill())
    monkeypatch.setattr(two.publisher, "send", send)
    monkeypatch.setattr(two, "_fills", [fill])
    await two.start()
    await two.close()
    assert sent == [fill]

    async def refuse(records: Sequence[Outgoing]) -> list[Exception | None]:
        return [OutageError("not allowed", dependency="kafka:told")]

    monkeypatch.setattr(two.publisher, "send", refuse)
    with pytest.raises(BrokerError, match="told: not allowed"):
        await two.start()
    await two.close()
