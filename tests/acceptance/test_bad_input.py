"""Whatever producers send: a dead letter that says why, or a correct result. Neighbours go on."""

from __future__ import annotations

import asyncio
import json
import re
from asyncio.subprocess import PIPE
from typing import Any

from aiokafka import AIOKafkaProducer

from testkit.system import System, until
from tickertape import topics
from tickertape.broker import jars
from tickertape.documents import anonymous_id
from tickertape.versions import Origin

# Not one of these says which batch it belongs to: name -> (bytes, what the dead letter says).
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "not-json": (b"{id: 1, text: plain words", "not JSON"),
    "cut-off": (b'{"id": "x", "text": "Revenue ro', "not JSON"),
    "nothing": (b"", "the value is empty"),
    "list": (b'[{"id": "x", "text": "y"}]', "expected a JSON object, got an array"),
    "string": (b'"Revenue rose."', "expected a JSON object, got a string"),
    "number": (b"12", "expected a JSON object, got a number"),
    "null": (b"null", "expected a JSON object, got null"),
    "bytes": (b"\xff\xfe\x00R\x00e\x00v", "not UTF-8"),
    "surrogate-raw": (b'{"id": "x", "text": "\xed\xa0\x80"}', "not UTF-8: .* byte 21"),
    "avro": (b"\x00\x00\x00\x00\x2a\x0cbinary", "Schema Registry"),
    "endless-nesting": (b'{"a":' * 100_000, "nested too deep"),
}
# These do: name -> (fields, what the dead letter says).
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "text-missing": ({"text": None}, "^text: expected a non-empty string"),
    "text-empty": ({"text": ""}, "^text: expected a non-empty string"),
    "text-blank": ({"text": " \n\t\u00a0"}, "^text: expected a non-empty string"),
    "text-number": ({"text": 12}, "^text: expected a non-empty string, got 12"),
    "text-list": ({"text": ["a"]}, "^text: expected a non-empty string, got an array of 1"),
    "text-5-mb": ({"text": "Revenue. " * 582_543}, "^text: 52.*TICKERTAPE_TEXT_BYTES_MAX"),
    "metadata-5-mb": ({"note": "x" * 5 * 2**20}, "^metadata: .*TICKERTAPE_TEXT_BYTES_MAX"),
    "id-true": ({"id": True}, "^id: expected a string or a number, got true"),
    "id-object": ({"id": {"a": 1}}, "^id: expected a string or a number, got an object"),
    "id-nul": ({"id": "a\0b"}, "^id: expected no NUL character"),
    "id-long": ({"id": "x" * 2000}, "^id: expected at most 1024 bytes, got 2000 bytes"),
    "time-words": ({"timestamp": "yesterday"}, "^timestamp: .* ISO 8601, got 'yesterday'"),
    "time-month-13": ({"timestamp": "2024-13-01"}, "^timestamp: .* ISO 8601"),
    "time-true": ({"timestamp": True}, "^timestamp: .* ISO 8601, got true"),
    "time-far": ({"timestamp": 1e300}, "^timestamp: .* ISO 8601"),
    "metadata-list": ({"metadata": [1]}, "^metadata: expected an object, got an array of 1"),
    "version-words": ({"version": "new"}, "^version: expected an integer of at least 0"),
    "version-below-0": ({"version": -1}, "^version: expected an integer of at least 0"),
    "table-object": ({"table_name": {}}, "^table_name: expected a string or a number"),
}
# name -> (fields, what is stored: (id, text)).
ODD: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "plain": ({}, ("plain", "Revenue rose.")),
    "nul": ({"text": "Reve\0nue"}, ("nul", "Reve nue")),
    "surrogate": ({"text": "up \ud800 and \udfff"}, ("surrogate", "up \ufffd and \ufffd")),
    "emoji": ({"text": "\U0001f4c8 r\u00e9sum\u00e9"}, ("emoji", "\U0001f4c8 r\u00e9sum\u00e9")),
    "word": ({"text": "x" * 200_000}, ("word", "x" * 200_000)),
    "id-17": ({"id": 17}, ("17", "Revenue rose.")),
    "id-whole": ({"id": 18.0}, ("18", "Revenue rose.")),
    "id-big": ({"id": 10**40}, (f"1{'0' * 40}", "Revenue rose.")),
    "time-s": ({"timestamp": 1_706_695_200}, ("time-s", "Revenue rose.")),
    "time-ms": ({"timestamp": 1_706_695_200_000}, ("time-ms", "Revenue rose.")),
    "time-iso": ({"timestamp": "2024-01-31 11:00:00+01:00"}, ("time-iso", "Revenue rose.")),
    "time-no-zone": ({"timestamp": "2024-01-31T10:00:00"}, ("time-no-zone", "Revenue rose.")),
    "twice": ({"text": "The first text."}, ("twice", "The second text.")),
}


def nested(levels: int) -> dict[str, Any]:
    tree: dict[str, Any] = {"level": levels}
    for level in range(levels - 1, 0, -1):
        tree = {"level": level, "in": tree}
    return tree


async def test_a_bad_record_is_a_dead_letter_with_its_reason_and_costs_only_itself(system: System):
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    total = len(REFUSED) + len(ODD) + 3
    batch = await system.declare(total)

    def record(name: str, fields: dict[str, Any]) -> bytes:
        value = {"id": name, "text": "Revenue rose.", "batch_id": batch, **fields}
        return json.dumps(value).encode()

    sent = {name: value for name, (value, _) in UNREADABLE.items()}
    sent |= {name: record(name, fields) for name, (fields, _) in {**REFUSED, **ODD}.items()}
    metadata = {"tree": nested(10), "big": 2**70, "nan": float("nan")}
    sent["deep"] = record("deep", {"metadata": metadata})
    mixed = sorted(sent, key=lambda name: name[::-1])  # bad and good side by side
    producer = await system.producer()
    for name in mixed:
        headers = [("origin", b"a"), ("origin", b"b")]
        await producer.send(topic, sent[name], key=name.encode(), headers=headers)
    second = record("twice", {"text": "The second text."})
    await producer.send(topic, second, key=b"twice")
    keyless = await producer.send_and_wait(topic, record("", {}))
    state = await system.finished(worker, batch)

    reasons = {name: reason for name, (_, reason) in {**UNREADABLE, **REFUSED}.items()}
    dead = {letter.key.decode(): letter for letter in await system.dead(topic)}
    assert dead.keys() == reasons.keys()
    came = {r.key.decode(): r for r in await system.read(topic) if r.key is not None}
    for name, letter in dead.items():
        found = {key: value.decode() for key, value in letter.headers}
        assert letter.value == sent[name], f"{name}: not the record's own bytes"
        assert re.search(reasons[name], found["kafka_dlt-exception-message"]), (name, found)
        assert found["kafka_dlt-exception-fqcn"].startswith("tickertape.errors.")
        assert found["kafka_dlt-original-topic"] == topic
        assert found["kafka_dlt-original-partition"] == str(came[name].partition)
        assert found["kafka_dlt-original-offset"] == str(came[name].offset)
        assert found["kafka_dlt-original-timestamp"] == str(came[name].timestamp)
        assert found["kafka_dlt-original-consumer-group"] == system.settings.app_id
        assert [value for key, value in letter.headers if key == "origin"] == [b"a", b"b"]

    bad = len(REFUSED)
    assert (state["status"], state["processed_documents"]) == ("failed", total)
    assert (state["dead"], state["done"], state["retrying"]) == (bad, total - bad, 0)
    assert state["error_message"] == f"{bad} of {total} documents are dead letters"

    uuid = anonymous_id(Origin(topic, keyless.partition, keyless.offset))
    wanted = dict(stored for _, stored in ODD.values())
    wanted |= {"twice": "The second text.", "deep": "Revenue rose.", uuid: "Revenue rose."}
    async with system.store() as store:
        for id, text in wanted.items():
            (document,) = await store.document(id)
            assert "".join(chunk.text for chunk in document.chunks) == text
        (deep,) = await store.document("deep")
        assert deep.metadata == {"tree": nested(10), "big": str(2**70), "nan": None}
        assert (await store.count()).documents == len(wanted)
    times = {
        value["id"]: value["input_timestamp"]
        for value in await system.values(system.settings.topic_embeddings)
        if value["id"].startswith("time")
    }
    assert times == dict.fromkeys(("time-s", "time-ms", "time-iso", "time-no-zone"), 1706695200.0)


async def test_a_snappy_batch_with_one_bad_record_is_read(system: System):
    topic = system.settings.topic_financial_documents
    worker = await system.worker()
    batch = await system.declare(51)
    sent = [
        {"id": f"s-{n}", "text": f"Revenue rose {n} percent.", "batch_id": batch} for n in range(50)
    ]
    sent.insert(20, {"id": "bad", "text": "Revenue.", "published": "soon", "batch_id": batch})
    producer = AIOKafkaProducer(
        bootstrap_servers=system.broker.bootstrap, compression_type="snappy", linger_ms=50
    )
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, json.dumps(v).encode()) for v in sent])
    finally:
        await producer.stop()
    state = await system.finished(worker, batch)
    assert (state["done"], state["dead"], state["status"]) == (50, 1, "failed")
    (letter,) = await system.dead(topic)
    message = dict(letter.headers)["kafka_dlt-exception-message"].decode()
    assert message.startswith("published: expected epoch seconds"), message
    async with system.store() as store:
        assert (await store.count()).documents == 50


async def test_nothing_at_all_and_as_much_as_the_topic_takes(system: System):
    """Their dead letters have headers besides: they must not be too large, or too little."""
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    await nulls(system.broker.bootstrap, topic)
    producer = await system.producer()
    full = b"x" * (topics.RECORD_BYTES_MAX - 100)  # less what a batch of one record has around it
    await producer.send_and_wait(topic, full, key=b"full")
    batch = await system.declare(1)
    last = {"id": "last", "text": "Revenue rose.", "batch_id": batch}
    await system.send(topic, [last])
    assert (await system.finished(worker, batch))["done"] == 1

    async def both() -> list[Any]:
        found = await system.dead(topic)
        return found if len(found) == 2 else []

    found = await until(both, f"two dead letters:\n{worker.tail()}")
    letters = {letter.value: dict(letter.headers) for letter in found}
    assert letters.keys() == {None, full}
    assert b"no value" in letters[None]["kafka_dlt-exception-message"]
    assert b"not JSON" in letters[full]["kafka_dlt-exception-message"]


async def nulls(bootstrap: str, topic: str) -> None:
    """Send a record of neither key nor value, which Apache's own producer can."""
    command = [
        *(str(jars.java()), "-cp", jars.classpath(lambda _: None)),
        *("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", bootstrap),
        *("--topic", topic, "--property", "parse.key=true", "--property", "key.separator=:"),
        *("--property", "null.marker=NULL"),
    ]
    java = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    await java.communicate(b"NULL:NULL\n")
    assert java.returncode == 0
