"""Producers that know nothing of us, through a real broker: what they send is read."""

import asyncio

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from models import BatchStatus, Embedding, FinancialDocument, TextMessage
from tickertape.broker import jars
from tickertape.decode import Limits, key_text
from tickertape.documents import anonymous_id
from tickertape.errors import Undecodable
from tickertape.kafka.consumer import Consumer
from tickertape.record import Record
from tickertape.versions import Origin

LIMITS = Limits()
CODECS = ["gzip", "snappy", "lz4", "zstd"]
TEXT = "Net income rose 4.2% to $84.1 million. " * 20


async def produce(broker, topic, records, codec=None):
    """Send (key, value) or (key, value, headers) as another program would."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, compression_type=codec)
    await producer.start()
    try:
        for key, value, *headers in records:
            raw = value if isinstance(value, bytes | None) else orjson.dumps(value)
            await producer.send(topic, raw, key=key, headers=headers[0] if headers else None)
    finally:
        await producer.stop()


async def consume(broker, topic, count):
    """Return the records of a topic with one partition, as the delivery runtime gets them."""
    consumer = Consumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        messages = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    return [
        Record(m.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)
        for m in messages
    ]


@pytest.mark.parametrize("codec", CODECS)
async def test_compressed_batches(broker, make_topic, codec):
    topic = make_topic()
    sent = [(None, {"id": n, "text": f"{n} {TEXT}"}) for n in range(50)]
    await produce(broker, topic, sent, codec)
    found = [TextMessage.decode(r, LIMITS) for r in await consume(broker, topic, 50)]
    assert [(f.id, f.text) for f in found] == [(str(n), f"{n} {TEXT}") for n in range(50)]


@pytest.mark.parametrize("codec", CODECS)
async def test_apaches_own_producer(broker, make_topic, codec):
    """Java frames snappy and lz4 in its own way."""
    topic = make_topic()
    lines = "".join(f'{{"id": "{n}", "text": "{n} {TEXT}"}}\n' for n in range(20))
    command = [
        *(str(jars.java()), "-cp", jars.classpath(lambda _: None)),
        *("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", broker.bootstrap),
        *("--topic", topic, "--compression-codec", codec),
    ]
    java = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    await java.communicate(lines.encode())
    assert java.returncode == 0
    found = [TextMessage.decode(r, LIMITS) for r in await consume(broker, topic, 20)]
    assert [(f.id, f.text) for f in found] == [(str(n), f"{n} {TEXT}") for n in range(20)]


async def test_without_a_key_the_id_is_where_the_record_stands(broker, make_topic):
    topic = make_topic()
    await produce(broker, topic, [(None, {"text": "a"}), (None, {"text": "a"})])
    records = await consume(broker, topic, 2)
    assert [TextMessage.decode(r, LIMITS).id for r in records] == [
        anonymous_id(Origin(topic, 0, offset)) for offset in (0, 1)
    ]


@pytest.mark.parametrize(
    "sent",
    [
        1_706_695_200,
        1_706_695_200_000,
        "2024-01-31T10:00:00",
        "2024-01-31T10:00:00Z",
        "2024-01-31 11:00:00+01:00",
    ],
)
async def test_timestamps_of_every_form(broker, make_topic, sent):
    topic = make_topic()
    await produce(broker, topic, [(b"d", {"text": "a", "timestamp": sent})])
    (record,) = await consume(broker, topic, 1)
    found = TextMessage.decode(record, LIMITS)
    assert (found.id, found.timestamp) == ("d", 1_706_695_200.0)


async def test_the_brokers_time_orders_versions_not_the_producers(broker, make_topic):
    """As on the topics we create. The second record says that it is older."""
    topic = make_topic(config={"message.timestamp.type": "LogAppendTime"})
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    for clock in (2_000_000_000_000, 1_000_000_000_000):
        value = orjson.dumps({"text": "a", "timestamp": clock})
        await producer.send_and_wait(topic, value, key=b"d", timestamp_ms=clock)
    await producer.stop()
    first, second = await consume(broker, topic, 2)
    documents = [TextMessage.decode(r, LIMITS).to_document(r) for r in (first, second)]
    assert documents[1].version > documents[0].version
    assert documents[1].timestamp < documents[0].timestamp


async def test_bytes_of_every_kind_arrive_as_they_were_sent(broker, make_topic):
    topic = make_topic()
    values = [b"\xff\xfe", b"", b"plain", b"[]", b'{"text": NaN}', b'{"text": "\\ud800x"}', None]
    await produce(broker, topic, [(b"k", value) for value in values])
    records = await consume(broker, topic, len(values))
    assert [r.value for r in records] == values
    for record in records[:4]:
        with pytest.raises(Undecodable):
            TextMessage.decode(record, LIMITS)
    assert TextMessage.decode(records[5], LIMITS).text == "\ufffdx"
    assert (records[6].value, key_text(records[6])) == (None, "k")


async def test_headers_of_others_are_kept_with_their_duplicates(broker, make_topic):
    topic = make_topic()
    headers = [("traceparent", b"00-1"), ("x", b"1"), ("x", b"2"), ("tickertape-force", b"true")]
    await produce(broker, topic, [(None, {"id": "d", "text": "a"}, headers)])
    (record,) = await consume(broker, topic, 1)
    assert list(record.headers) == headers
    assert TextMessage.decode(record, LIMITS).to_document(record).force


async def test_other_embedders_filings_and_declared_batches(broker, make_topic):
    topic = make_topic()
    embedding = {
        "id": 7,
        "text": "a",
        "embedding": [0.6, 0.8],
        "timestamp": 1_706_695_200,
        "source": "s",
        "table_name": "news",
    }
    filing = {"id": "f", "text": "a", "company": "Acme", "published": "2024-01-31", "pages": 9}
    status = {"batch_id": "b", "status": "queued", "total_documents": 2, "__faust": {"ns": "x"}}
    await produce(broker, topic, [(None, embedding), (None, filing), (b"b", status)])
    records = await consume(broker, topic, 3)
    vector = Embedding.decode(records[0], LIMITS).to_document(records[0])
    assert (vector.key.collection, vector.key.id, vector.source) == ("news", "7", "s")
    document = FinancialDocument.decode(records[1], LIMITS).to_document(records[1])
    assert document.metadata == {"company": "Acme", "published": "2024-01-31", "pages": 9}
    assert BatchStatus.decode(records[2], LIMITS).total_documents == 2
