"""`dlq` as typed, on a real broker."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from pathlib import Path

import pytest

from testkit.broker import Broker, create_topic, unique
from tests.fixtures_dlq import System, value
from tests.fixtures_dlq import system as system
from tickertape import headers as h
from tickertape import topics
from tickertape.delivery.copies import dead
from tickertape.errors import InvalidRecord, Timeout
from tickertape.record import Record


async def test_no_broker_is_said_in_one_line(system: System) -> None:
    for command in (
        ("list",),
        ("show", "a-dlq/0/0"),
        ("replay", "--all"),
        ("purge", "--all", "--yes"),
        ("export",),
    ):
        said = (await system.run(*command, code=1, brokers="localhost:1")).stderr
        assert said.startswith("Error: no Kafka broker answers at localhost:1"), said
        assert len(said.splitlines()) == 1


async def test_lists_are_filtered(system: System) -> None:
    embeddings = system.settings.topic_embeddings
    await system.die(value(0), value(1))
    await system.die(value(2), batch="c", keys=[b"two"], error=Timeout("the store is slow"))
    await system.die(value(3), base=embeddings, batch=None, keys=[b"three"])

    async def keys(*arguments: str) -> set[str]:
        return {letter["key"] for letter in await system.json("list", *arguments)}

    everyone = {"d0", "d1", "two", "three"}
    assert await keys() == everyone
    assert await keys("--topic", system.text) == everyone - {"three"}
    assert await keys("--topic", "text-messages") == everyone - {"three"}  # its default name
    assert await keys("--topic", topics.dlq(embeddings)) == {"three"}
    assert await keys("--topic", "embeddings", "--topic", system.text) == everyone
    assert await keys("--topic", "embeddings-parking") == set()
    assert await keys("--error-class", "transient") == {"two"}
    assert await keys("--error", "invalidrecord") == everyone - {"two"}
    assert await keys("--key", "two") == {"two"}
    assert await keys("--batch", "b") == {"d0", "d1"}
    assert await keys("--since", "1h", "--until", "0s") == everyone
    assert await keys("--until", "1h") == set()
    assert len(await keys("--limit", "1")) == 1
    people = (await system.run("list", "--key", "two")).stdout
    assert "Timeout: the store is slow" in people
    assert (await system.run("list", "--key", "none")).stdout == "no dead letters match\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--topic", "elsewhere"),
        ("list", "--since", "soon"),
        ("list", "--limit", "0"),
        ("show",),
        ("show", "no-id"),
        ("replay", "a-dlq/0/0", "--batch", "b"),
        ("replay", "--edit"),
        ("replay", "a-dlq/0/0", "a-dlq/0/1", "--edit"),
        ("replay", "--rate", "fast"),
        ("replay", "--set", "text=no quotes"),
        ("replay", "a-dlq/0/0", "--all"),
        ("purge",),
    ],
    ids=" ".join,
)
async def test_wrong_usage_is_2(system: System, arguments: tuple[str, ...]) -> None:
    said = await system.run(*arguments, code=2)
    assert "Error:" in said.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",),
        ("replay", "--dry-run"),
        ("replay", "--again"),
        ("replay", "--limit", "5"),
        ("replay", "--set", "a=1"),
        ("purge", "--yes"),
        ("purge", "--any-state", "--dry-run"),
    ],
    ids=" ".join,
)
async def test_what_is_changed_is_said(system: System, arguments: tuple[str, ...]) -> None:
    await system.die(value(0))
    said = await system.run(*arguments, code=2)
    assert "say which letters: an ID, a filter" in said.stderr
    assert len(await system.ids()) == 1


async def test_a_letter_is_shown_without_its_secret(system: System) -> None:
    await system.die(
        value(0, password="hunter2", url="postgres://u:hunter2@db/x"),
        b"\xff\x00 \x1b[31m garbage",
        None,
        partition=0,
    )
    shown = (await system.run("show", f"{system.dlq}/0/0")).stdout
    assert "hunter2" not in shown
    assert '"password": "***"' in shown
    assert "text: expected a non-empty string" in shown
    assert "x: 1" in shown
    shown = (await system.run("show", f"{system.dlq}/0/1")).stdout
    assert "\\xff" in shown
    assert "ff 00 20 1b 5b 33 31 6d" in shown
    assert "\x1b" not in shown
    shown = (await system.run("show", f"{system.dlq}/0/2")).stdout
    assert "this is a delete of the key" in shown
    letter = await system.json("show", f"{system.dlq}/0/0")
    assert letter["payload"]["value"]["password"] == "***"
    said = (await system.run("show", f"{system.dlq}/0/9", code=1)).stderr
    assert "there is no dead letter" in said


async def test_an_export_gives_all_back(system: System, tmp_path: Path) -> None:
    values = [value(0, password="hunter2"), b"\xff\x00", None]
    await system.die(*values, partition=0)
    lines = [json.loads(line) for line in (await system.run("export")).stdout.splitlines()]
    assert "hunter2" not in str(lines)
    assert [line["key"] for line in lines] == ["d0", "d1", "d2"]
    assert lines[0]["payload"]["value"] == {"id": "d0", "text": 0, "password": "***"}
    assert all(["x", "1"] in line["headers"] for line in lines)
    path = tmp_path / "letters.jsonl"
    await system.run("export", "--unmasked", "--output", str(path), "--limit", "2")
    read = [json.loads(line)["payload"] for line in path.read_text().splitlines()]
    assert read[0] == {"encoding": "text", "value": values[0].decode()}  # type: ignore[union-attr]
    assert base64.b64decode(read[1]["value"]) == values[1]
    assert len(read) == 2


async def test_a_replay_as_typed(system: System) -> None:
    await system.die(value(0), value(1), value(2))
    assert await system.open_count() == 3
    dry = await system.json("replay", "--all", "--dry-run")
    assert (dry["dry_run"], dry["replayed"]) == (True, 3)
    assert await system.read(topics.rekeyed(system.text)) == []
    done = await system.json("redrive", "--all", "--rate", "600/m")
    assert (done["replayed"], done["failed"]) == (3, 0)
    assert sorted(one["id"] for one in done["results"]) == sorted(
        one["id"] for one in dry["results"]
    )
    found = await system.read(topics.rekeyed(system.text))
    assert {(r.key, r.value) for r in found} == {(b"d%d" % n, value(n)) for n in range(3)}
    assert await system.open_count() == 0
    # Marked in Kafka itself: another process knows of it.
    assert await system.ids() == []
    assert len(await system.ids("--any-state")) == 3
    assert (await system.run("replay", "--all")).stdout == "no dead letters match\n"
    assert (await system.run("replay", "--again", "--key", "d1")).stdout == "1 replayed\n"


async def test_a_mended_field_as_typed(system: System) -> None:
    await system.die(value(0, batch_id="b"), b"\xff", partition=0)
    done = await system.json("replay", "--all", "--set", 'text="mended"', code=1)
    assert (done["replayed"], done["failed"]) == (1, 1)
    assert done["results"][1]["error"].startswith("not UTF-8")
    (record,) = await system.read(topics.rekeyed(system.text))
    assert json.loads(record.value) == {"id": "d0", "text": "mended", "batch_id": "b"}
    assert ("tickertape-edited-from", f"{system.dlq}/0/0".encode()) in record.headers
    assert await system.ids() == [f"{system.dlq}/0/1"]


async def test_a_letter_edited_in_an_editor(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.die(b"\xff was no text", partition=0)
    place = f"{system.dlq}/0/0"
    script = tmp_path / "editor"
    monkeypatch.setenv("VISUAL", str(script))
    for body, said in (
        ("true", "Error: not edited: nothing is replayed\n"),
        ("echo '[1]' > \"$1\"", "Error: payload: expected a JSON object"),
    ):
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        found = await system.run("replay", place, "--edit", code=1)
        assert found.stderr.startswith(said)
    assert await system.read(topics.rekeyed(system.text)) == []
    script.write_text('#!/bin/sh\nsed -i \'s/.*was \\(.*\\)/{"text": "is \\1"}/\' "$1"\n')
    assert (await system.run("replay", place, "--edit")).stdout == "1 replayed\n"
    (record,) = await system.read(topics.rekeyed(system.text))
    assert json.loads(record.value) == {"text": "is no text", "batch_id": "b"}


async def test_a_topic_that_is_no_longer_ours(system: System, broker: Broker) -> None:
    gone = unique("gone")
    await create_topic(broker.bootstrap, topics.dlq(gone), 1)
    await system.die(value(0), base=gone)
    await system.die(value(1))
    arguments = ("--topic", topics.dlq(gone), "--topic", system.text)
    assert len(await system.ids(*arguments)) == 2
    said = (await system.run("replay", *arguments, code=1)).stderr
    assert f"{gone} is not a topic of ours" in said
    assert len(await system.read(topics.rekeyed(system.text))) == 1
    assert await system.ids(*arguments) == [f"{topics.dlq(gone)}/0/0"]


async def test_parked_after_the_most_replays(system: System) -> None:
    record = Record(system.text, 0, 0, b"d0", value(0), ((h.REPLAYS, b"2"),), 1, trusted=True)
    await system.send([dead(record, system.text, "g", 0, InvalidRecord("text", "a string"), "b")])
    done = await system.json("replay", "--all")
    assert (done["replayed"], done["parked"]) == (0, 1)
    (parked,) = await system.read(topics.parking(system.text))
    assert (parked.key, parked.value) == (b"d0", value(0))
    assert await system.ids() == []
    (shown,) = await system.json("list", "--all")
    assert shown["state"] == "parked"
    assert len(await system.ids("--topic", "text-messages-parking")) == 1
    done = await system.json("replay", "--topic", "text-messages-parking")
    assert (done["replayed"], done["results"][0]["replays"]) == (1, 3)


# Stopped half-way


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
async def test_a_replay_that_is_stopped_goes_on(system: System, number: signal.Signals) -> None:
    count = 300  # a minute of replay: the signal comes in its midst however slow the machine is
    await system.die(*[value(n) for n in range(count)])
    process = await system.start("replay", "--all", "--rate", "5")
    while len(await system.read(topics.rekeyed(system.text))) < 5:
        assert process.returncode is None
        await asyncio.sleep(0.05)
    process.send_signal(number)
    _, err = await process.communicate()
    assert process.returncode != 0
    assert b"Traceback" not in err
    before = [(r.headers, r.key) for r in await system.read(topics.rekeyed(system.text))]
    assert 5 <= len(before) < count
    if number is signal.SIGINT:
        assert b"the same command goes on with the rest" in err
    done = await system.json("replay", "--all")
    found = [h.last(r.headers, h.ORIGIN) for r in await system.read(topics.rekeyed(system.text))]
    assert len(set(found)) == count
    if number is signal.SIGINT:  # nothing twice; a kill may double what was not marked yet
        assert len(found) == count
        assert done["replayed"] == count - len(before)
    assert len(found) <= count + 20
    assert await system.ids() == []


# Purge


async def test_a_purge_deletes_the_oldest_and_hides_the_others(system: System) -> None:
    await system.die(*[value(n) for n in range(4)], partition=0)
    await system.die(*[value(n) for n in range(4)], partition=1, batch="c")
    await system.die(value(0), value(1), partition=2, keys=[b"kept", b"d9"])
    dry = await system.json("purge", "--batch", "b", "--key", "d9", "--dry-run")
    assert dry == {"dry_run": True, "deleted": 0, "hidden": 1}
    assert len(await system.ids("--limit", "50")) == 10
    done = await system.json("purge", "--batch", "c", "--yes", "--limit", "3")
    assert done == {"dry_run": False, "deleted": 3, "hidden": 0}
    assert await system.begins(system.dlq) == [0, 3, 0]
    assert await system.open_count() == 7
    done = await system.json("purge", "--key", "d9", "--yes")
    assert done == {"dry_run": False, "deleted": 0, "hidden": 1}
    assert f"{system.dlq}/2/1" not in await system.ids("--limit", "50")
    assert (await system.json("show", f"{system.dlq}/2/1"))["state"] == "purged"
    # With the one before it gone too, both are deleted.
    done = await system.json("purge", "--key", "kept", "--yes")
    assert done == {"dry_run": False, "deleted": 1, "hidden": 0}
    assert (await system.begins(system.dlq))[2] == 2
    done = await system.json("purge", f"{system.dlq}/0/2", "--yes")
    assert done == {"dry_run": False, "deleted": 0, "hidden": 1}
    assert len(await system.ids("--limit", "50")) == 4
    # What was purged is not replayed, not even again.
    assert (await system.json("replay", "--all"))["replayed"] == 4
    assert (await system.json("replay", "--all", "--again"))["replayed"] == 4
    assert await system.json("purge", "--all", "--any-state", "--yes") == {
        "dry_run": False,
        "deleted": 4,
        "hidden": 0,
    }
    assert await system.ids("--any-state") == []
