"""Topics on a real broker: created once, never changed, and compared."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from runtime import Worker
from testkit.broker import Broker, create_topic, free_port, topic_settings, unique
from tickertape import followers, kafka_admin, settings
from tickertape.broker import EmbeddedBroker, using
from tickertape.cli import broker as broker_cli
from tickertape.cli import stores as stores_cli
from tickertape.cli import topics as topics_cli
from tickertape.cli.sending import publisher
from tickertape.errors import BrokerError, SettingsError
from tickertape.followers import Changed, Fill
from tickertape.settings import Settings
from tickertape.topics import Topic, retry
from worker import TickertapeApp

Load = Callable[[], Settings]


@pytest.fixture
def load(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Settings whose topics no other test has."""
    app_id = unique("app")
    ours = {**topic_settings(app_id), "TICKERTAPE_APP_ID": app_id, "TICKERTAPE_RETRY_DELAYS": "1,2"}
    for name, value in {**ours, "KAFKA_BROKERS": broker.bootstrap}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TICKERTAPE_DATA_DIR", str(tmp_path))
    return lambda: settings.load(tmp_path)


async def test_all_are_created_once(broker: Broker, load: Load) -> None:
    wanted = kafka_admin.wanted(load())
    both = await asyncio.gather(*(kafka_admin.ensure(broker.bootstrap, wanted) for _ in range(2)))
    created = [name for report in both for name in report.created]
    assert sorted(created) == sorted(topic.name for topic in wanted)  # each by one of the two
    assert [report.errors for report in both] == [[], []]
    for report in both:
        assert report.partitions == {topic.name: topic.partitions for topic in wanted}
    assert await kafka_admin.check(broker.bootstrap, wanted) == []
    again = await kafka_admin.ensure(broker.bootstrap, wanted)
    assert (again.created, len(again.existing)) == ([], len(wanted))


async def test_what_belongs_to_a_topic_takes_its_partitions(broker: Broker, load: Load) -> None:
    found = load()
    name = found.topic_text_messages
    await create_topic(broker.bootstrap, name, 3)
    wanted = kafka_admin.wanted(found)
    report = await kafka_admin.ensure(broker.bootstrap, wanted)
    family = [topic.name for topic in wanted if topic.like == name]
    assert len(family) >= 4  # rekeyed, two retries, dead letters
    assert {report.partitions[one] for one in [name, *family]} == {3}

    differences = await kafka_admin.check(broker.bootstrap, wanted)
    assert {one.topic for one in differences} == {name}
    told = {one.what: one for one in differences}
    assert (told["partitions"].found, told["partitions"].breaks) == ("3", False)
    assert told["message.timestamp.type"].found == "CreateTime"
    assert told["message.timestamp.type"].breaks


async def test_what_would_break_is_told(broker: Broker) -> None:
    base = Topic(unique("base"), 2, "id", "a topic", {"max.message.bytes": "1000000"})
    retry = Topic(f"{base.name}-retry-0", 2, "id", "its retries", like=base.name)
    await create_topic(broker.bootstrap, base.name, 2, {"max.message.bytes": "1000"})
    await create_topic(broker.bootstrap, retry.name, 5)
    missing = replace(retry, name=f"{base.name}-dlq")
    found = await kafka_admin.check(broker.bootstrap, [base, retry, missing])
    assert [str(one) for one in found] == [
        f"{base.name}: max.message.bytes: expected 1000000, found 1000",
        f"{retry.name}: partitions: expected 2, found 5",
        f"{missing.name}: missing, expected 2 partitions",
    ]
    assert all(one.breaks for one in found)


async def test_a_topic_that_cannot_be_made_costs_only_itself(broker: Broker) -> None:
    good = Topic(unique("good"), 1, "id", "a topic")
    bad = Topic(unique("bad"), 1, "id", "a topic", {"no.such.setting": "1"})
    report = await kafka_admin.ensure(broker.bootstrap, [bad, good])
    assert report.created == [good.name]
    assert len(report.errors) == 1
    assert report.errors[0].startswith(f"{bad.name}: cannot be created: ")
    with pytest.raises(BrokerError, match=bad.name):
        report.raise_for_errors()


async def test_no_broker_is_one_line() -> None:
    address = f"localhost:{free_port()}"
    with pytest.raises(BrokerError, match=f"no Kafka broker answers at {address}"):
        await kafka_admin.ensure(address, [])


async def test_one_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_admin, "CONNECT_SECONDS_MAX", 0.3)
    with socket.create_server(("localhost", 0)) as silent:
        address = f"localhost:{silent.getsockname()[1]}"
        with pytest.raises(BrokerError, match="no Kafka broker answers"):
            await kafka_admin.check(address, [])


class TestCommands:
    def test_create_and_check(self, load: Load) -> None:
        group = topics_cli.commands(load)
        run = CliRunner().invoke
        name = load().topic_llm_results
        before = run(group, ["check", "--json"])
        assert before.exit_code == 1
        assert not json.loads(before.stdout)["ok"]
        one = run(group, ["create", name])
        assert (one.exit_code, one.stdout.splitlines()[0]) == (0, f"created {name}, 8 partitions")
        rest = run(group, ["create", "--json"])
        assert rest.exit_code == 0
        assert name in json.loads(rest.stdout)["existing"]
        after = run(group, ["check", "--json"])
        assert (after.exit_code, json.loads(after.stdout)) == (0, {"ok": True, "differences": []})

    def test_retry_topics_of_levels_that_are_no_more_are_told(self, load: Load) -> None:
        group = topics_cli.commands(load)
        CliRunner().invoke(group, ["create"])
        settings = load()
        left = retry(settings.topic_text_messages, len(settings.retry_delays_seconds) + 1)
        asyncio.run(create_topic(settings.bootstrap, left, 1))
        result = CliRunner().invoke(group, ["check"])
        assert f"note  {left}: left over: expected" in result.stdout
        assert result.exit_code == 0

    def test_an_unknown_name_is_wrong_usage(self, load: Load) -> None:
        result = CliRunner().invoke(topics_cli.commands(load), ["create", "nope"])
        assert result.exit_code == 2
        assert "nope" in result.stderr
        assert load().topic_text_messages in result.stderr

    def test_a_failure_is_one_line(self, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KAFKA_BROKERS", f"localhost:{free_port()}")
        result = CliRunner().invoke(topics_cli.commands(load), ["check"])
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: no Kafka broker answers at localhost:")
        assert len(result.stderr.splitlines()) == 1

    def test_broker_commands_leave_a_named_broker_alone(self, load: Load) -> None:
        for command in ("start", "stop", "status"):
            result = CliRunner().invoke(broker_cli.commands(load), [command])
            assert result.exit_code == 1
            assert "KAFKA_BROKERS names" in result.stderr

    def test_a_wrong_setting_is_one_line(self) -> None:
        def load() -> Settings:
            raise SettingsError("TICKERTAPE_WEB_PORT: wrong")

        result = CliRunner().invoke(broker_cli.commands(load), ["status"])
        assert (result.exit_code, result.stderr) == (1, "Error: TICKERTAPE_WEB_PORT: wrong\n")

    def test_the_embedded_broker_by_hand(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        port = free_port()
        monkeypatch.delenv("KAFKA_BROKERS", raising=False)
        monkeypatch.setenv("TICKERTAPE_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("TICKERTAPE_BROKER_PORT", str(port))
        embedded = EmbeddedBroker(tmp_path, port)
        group = broker_cli.commands(lambda: settings.load(tmp_path))
        run = CliRunner().invoke
        try:
            assert run(group, ["status"]).exit_code == 1
            assert run(group, ["start"]).exit_code == 0
            status = run(group, ["status", "--json"])
            assert status.exit_code == 0
            assert json.loads(status.stdout)["bootstrap"] == f"localhost:{port}"
            with using(settings.load(tmp_path)) as bootstrap:
                report = asyncio.run(kafka_admin.ensure(bootstrap, [Topic("one", 1, "id", "one")]))
            assert report.created == ["one"]
            assert embedded.status().state == "running"  # a command that came and went
            stopped = run(group, ["stop"])
            assert (stopped.exit_code, stopped.stdout) == (0, "stopped\n")
            assert run(group, ["status"]).exit_code == 1
        finally:
            embedded.kill()


async def test_a_store_that_follows_is_new_once_and_left_when_it_is_named_no_more(
    broker: Broker, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKERTAPE_STORES", "sqlite,pgvector")
    both = load()
    told = followers.topics(both)
    wanted = [topic for topic in kafka_admin.wanted(both) if topic.name in told]
    await kafka_admin.ensure(broker.bootstrap, wanted)
    assert await kafka_admin.empty(broker.bootstrap, told) == told
    assert await kafka_admin.followers_left(broker.bootstrap, both) == []
    runner = CliRunner()
    cli = stores_cli.commands(lambda: both)
    done = await asyncio.to_thread(runner.invoke, cli, ["fill"])
    assert done.output == "pgvector: workers compare it with the first store, page by page\n"
    assert await kafka_admin.empty(broker.bootstrap, told) == []
    wrong = await asyncio.to_thread(runner.invoke, cli, ["fill", "sqlite"])
    assert (wrong.exit_code, "has pgvector" in wrong.output) == (1, True)

    monkeypatch.setenv("TICKERTAPE_STORES", "sqlite")
    assert await kafka_admin.followers_left(broker.bootstrap, load()) == told
    monkeypatch.setenv("TICKERTAPE_STORES", "pgvector,sqlite")
    assert await kafka_admin.followers_left(broker.bootstrap, load()) == told
    assert await kafka_admin.empty(broker.bootstrap, []) == []


async def test_a_store_that_is_behind_cannot_become_the_first(
    broker: Broker, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was told of and has not taken over would be nowhere."""
    monkeypatch.setenv("TICKERTAPE_STORES", "sqlite,pgvector")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@localhost/none")
    both = load()
    (topic,) = followers.topics(both)
    wanted = [one for one in kafka_admin.wanted(both) if one.name == topic]
    await kafka_admin.ensure(broker.bootstrap, wanted)
    monkeypatch.setenv("TICKERTAPE_STORES", "pgvector,sqlite")
    swapped = Worker(TickertapeApp(load()))
    gone = followers.fill(topic, Fill(left=True, first="pgvector"))
    async with publisher(both) as sender:
        assert await sender.send([gone]) == [None]
        await swapped._check_first([topic])
        found = [each async for each in kafka_admin.waiting(broker.bootstrap, "none", topic)]
        assert [each.key for each in found] == [followers.FILL]
        await sender.send([followers.tell(topic, Changed("a", "news"))])
        with pytest.raises(SettingsError, match="pgvector was not first"):
            await swapped._check_first([topic])
        await swapped._check_first([])
