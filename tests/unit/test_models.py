"""Each topic's record: every named field is written, and what is written reads as the same."""

import json
import uuid
from datetime import UTC, datetime

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import models
from models import (
    BatchStatus,
    DataIngestion,
    Embedding,
    EmbeddingRequest,
    FinancialDocument,
    LlmResult,
    SummaryRequest,
    TextMessage,
    VectorUpdate,
)
from tickertape import encode
from tickertape.decode import Limits
from tickertape.documents import Document, DocumentKey, StoredChunk, anonymous_id
from tickertape.errors import InvalidRecord, PermanentError, TooLarge, Undecodable
from tickertape.record import Record
from tickertape.versions import Origin, Stamp, Version

LIMITS = Limits()
TS = 1_706_695_200.25  # 2024-01-31T10:00:00.250Z

TEXT_FIELDS = ["id", "text", "timestamp", "source", "table_name", "metadata", "batch_id"]
# The fields that are published, in their order
SHAPES = {
    TextMessage: TEXT_FIELDS,
    FinancialDocument: [
        *TEXT_FIELDS,
        *("title", "document_type", "company", "ticker", "published"),
    ],
    Embedding: [
        *("id", "original_text", "embedding", "model_name", "timestamp", "embedding_dimension"),
        *("processing_timestamp", "input_timestamp", "input_source", "table_name"),
        *("collection", "chunk", "chunk_count", "batch_id", "version", "metadata"),
    ],
    DataIngestion: [
        *("source_id", "db_type", "connection_params", "table_or_collection"),
        *("columns_or_fields", "text_fields", "batch_id", "timestamp"),
    ],
    EmbeddingRequest: ["document_id", "content", "metadata", "batch_id", "timestamp"],
    VectorUpdate: ["operation", "document_id", "vector", "metadata", "timestamp"],
    BatchStatus: [
        *("batch_id", "status", "total_documents", "processed_documents", "error_message"),
        *("timestamp", "done", "unchanged", "retrying", "dead"),
    ],
    LlmResult: [
        *(
            "id",
            "collection",
            "summary",
            "model_name",
            "status",
            "processing_time",
            "prompt_tokens",
        ),
        *("completion_tokens", "total_tokens", "error", "timestamp", "unchanged"),
    ],
}
# The least a record needs
LEAST = {
    TextMessage: {"text": "t"},
    FinancialDocument: {"text": "t"},
    Embedding: {"text": "t", "embedding": [0.5]},
    DataIngestion: {"db_type": "postgresql", "table_or_collection": "news"},
    EmbeddingRequest: {"content": "t"},
    VectorUpdate: {"operation": "insert", "vector": [0.5]},
    BatchStatus: {"batch_id": "b", "status": "queued"},
    LlmResult: {},
    SummaryRequest: {
        "id": "d",
        "text": "t",
        "collection": "c",
        "version": "1.2",
        "origin": ["t", 0, 4],
    },
}
ISO = (DataIngestion, EmbeddingRequest, VectorUpdate, BatchStatus)
IDS = {EmbeddingRequest: "document_id", VectorUpdate: "document_id"}


def record(value, key=None, headers=(), topic="t", **more):
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return Record(topic, 3, 7, key, raw, headers, 1_700_000_000_123, **more)


def read(model, value, key=None, headers=(), limits=LIMITS):
    return model.decode(record(value, key, headers), limits)


@pytest.mark.parametrize("model", SHAPES)
def test_every_named_field_is_written_and_no_other(model):
    written = orjson.loads(read(model, LEAST[model]).encode())
    assert list(written) == SHAPES[model]


@pytest.mark.parametrize("model", SHAPES)
def test_absent_is_null_and_a_missing_vector_is_empty(model):
    written = orjson.loads(read(model, LEAST[model], b"key").encode())
    given_fields = {*LEAST[model], IDS.get(model, "id"), "text", "original_text"}
    counts = {"chunk", "chunk_count", "embedding_dimension", "done", "unchanged", "retrying"}
    counts |= {"dead", "prompt_tokens", "completion_tokens", "total_tokens"}
    empty = {"metadata": {}, "connection_params": {}, "columns_or_fields": [], "text_fields": []}
    for name, value in written.items():
        if name not in given_fields | counts:
            assert value == empty.get(name), name


def test_a_deletes_vector_is_empty_whatever_came():
    for given_vector in ({"vector": []}, {"vector": None}, {}, {"vector": [0.5]}):
        update = read(VectorUpdate, {"operation": "delete", "document_id": "d", **given_vector})
        assert orjson.loads(update.encode())["vector"] == []


@pytest.mark.parametrize("model", SHAPES)
@pytest.mark.parametrize(
    "sent", [TS, TS * 1000, str(TS), "2024-01-31T10:00:00.250Z", "2024-01-31 10:00:00.250"]
)
def test_timestamps_are_read_in_every_form_and_written_in_the_topics(model, sent):
    found = read(model, {**LEAST[model], "timestamp": sent})
    assert found.timestamp == TS
    written = orjson.loads(found.encode())["timestamp"]
    if model in ISO:
        assert datetime.fromisoformat(written) == datetime.fromtimestamp(TS, UTC)
    else:
        assert written == TS
        assert isinstance(written, float)


@pytest.mark.parametrize("model", [*SHAPES, SummaryRequest])
def test_a_wrong_timestamp_is_named(model):
    with pytest.raises(InvalidRecord, match=r"^timestamp: expected epoch seconds"):
        read(model, {**LEAST[model], "timestamp": "soon"})


WITH_ID = [TextMessage, FinancialDocument, Embedding, EmbeddingRequest, VectorUpdate, LlmResult]


@pytest.mark.parametrize("model", WITH_ID)
def test_id_is_the_field_then_the_key_then_where_it_stands(model):
    name = IDS.get(model, "id")
    assert getattr(read(model, {**LEAST[model], name: 7}, b"k"), name) == "7"
    assert getattr(read(model, LEAST[model], b"k"), name) == "k"
    assert getattr(read(model, LEAST[model]), name) == anonymous_id(Origin("t", 3, 7))


TEXTS = {
    TextMessage: "text",
    FinancialDocument: "text",
    Embedding: "text",
    EmbeddingRequest: "content",
    SummaryRequest: "text",
}


@pytest.mark.parametrize("model", TEXTS)
def test_text_is_needed_and_limited(model):
    name = TEXTS[model]
    with pytest.raises(InvalidRecord, match=rf"^{name}: expected a non-empty string"):
        read(model, {**LEAST[model], name: "  "})
    with pytest.raises(TooLarge, match="TICKERTAPE_TEXT_BYTES_MAX"):
        read(model, {**LEAST[model], name: "abcd"}, limits=Limits(text_bytes_max=3))


WITH_METADATA = [m for m in [*SHAPES, SummaryRequest] if m not in (BatchStatus, LlmResult)]


@pytest.mark.parametrize("model", WITH_METADATA)
def test_unknown_fields_become_metadata(model):
    found = read(model, {**LEAST[model], "lang": "en", "n": 1, "metadata": {"n": 2}})
    assert found.metadata == {"lang": "en", "n": 2}
    again = read(model, found.encode())
    assert again.metadata == found.metadata


@pytest.mark.parametrize("model", [*SHAPES, SummaryRequest])
@pytest.mark.parametrize("value", [b"", b"\xff", b"nope", b"[]", b"null"])
def test_bytes_that_are_no_object(model, value):
    with pytest.raises(Undecodable):
        read(model, value)


class TestToDocument:
    def test_text_message(self):
        value = {
            "id": "d",
            "text": "t",
            "timestamp": TS,
            "source": "s",
            "batch_id": "b",
            "lang": "en",
        }
        incoming = record(value, b"d", [("tickertape-force", b"1")])
        document = TextMessage.decode(incoming, LIMITS).to_document(incoming)
        assert document == Document(
            key=DocumentKey("text_messages", "d"),
            text="t",
            version=Version((), Stamp(1_700_000_000_123, 7, 3, "t")),
            origin=Origin("t", 3, 7),
            metadata={"lang": "en"},
            timestamp=TS,
            source="s",
            batch_id="b",
            force=True,
        )

    @pytest.mark.parametrize(
        ("model", "collection"),
        [
            (TextMessage, "text_messages"),
            (FinancialDocument, "financial_documents"),
            (EmbeddingRequest, "embedding_requests"),
            (Embedding, "embeddings"),
            (VectorUpdate, "vector_updates"),
        ],
    )
    def test_collection_is_table_name_else_the_flows(self, model, collection):
        for more, expected in (({}, collection), ({"table_name": "news"}, "news")):
            incoming = record({**LEAST[model], **more})
            document = model.decode(incoming, LIMITS).to_document(incoming)
            assert document.key.collection == expected
            assert document.table_name == more.get("table_name")

    @pytest.mark.parametrize(
        "model", [TextMessage, FinancialDocument, EmbeddingRequest, Embedding, VectorUpdate]
    )
    def test_version_and_origin_are_the_first_records(self, model):
        headers = [("tickertape-origin", b"first/1/2"), ("tickertape-version", b"1600000000000.2")]
        incoming = record(LEAST[model], b"d", headers, trusted=True)
        document = model.decode(incoming, LIMITS).to_document(incoming)
        assert (document.origin, document.version) == (
            Origin("first", 1, 2),
            Version((), Stamp(1_600_000_000_000, 2, 1, "first")),
        )
        explicit = record({**LEAST[model], "version": 5}, b"d", headers, trusted=True)
        document = model.decode(explicit, LIMITS).to_document(explicit)
        assert document.version == Version((5,), Stamp(1_600_000_000_000, 2, 1, "first"))
        assert "version" not in document.metadata

    def test_a_foreign_record_cannot_forge_them(self):
        incoming = record(LEAST[TextMessage], None, [("tickertape-origin", b"first/1/2")])
        document = TextMessage.decode(incoming, LIMITS).to_document(incoming)
        assert document.origin == Origin("t", 3, 7)

    def test_financial_fields_go_into_metadata(self):
        value = {
            "text": "t",
            "title": "Q3",
            "document_type": "10-Q",
            "company": "Acme",
            "ticker": "ACM",
            "published": "2024-01-31",
            "page": 2,
            "metadata": {"company": "Acme Corp"},
        }
        incoming = record(value)
        document = FinancialDocument.decode(incoming, LIMITS).to_document(incoming)
        assert document.metadata == {
            "title": "Q3",
            "document_type": "10-Q",
            "company": "Acme Corp",
            "ticker": "ACM",
            "published": "2024-01-31",
            "page": 2,
        }

    @pytest.mark.parametrize(
        "sent", ["2024-01-31", 1706659200, 1706659200000, "2024-01-31T00:00:00Z", "20240131"]
    )
    def test_published_is_the_same_however_it_was_sent(self, sent):
        incoming = record({"text": "t", "published": sent})
        document = FinancialDocument.decode(incoming, LIMITS).to_document(incoming)
        assert document.metadata == {"published": "2024-01-31"}

    def test_our_own_chunk_reads_as_any_embedding_with_the_vector_unchanged(self):
        vector = np.random.default_rng(1).standard_normal(384).astype(np.float32)
        source = record({"id": "d", "text": "one two", "batch_id": "b", "metadata": {"a": 1}})
        document = TextMessage.decode(source, Limits()).to_document(source)
        chunk = StoredChunk(uuid.UUID(int=1), 1, "two", 4, 7, vector)
        value = Embedding.of(document, chunk, chunk_count=2, model="m", now=TS).encode()
        found = Embedding.decode(record(value), Limits())
        assert np.array_equal(np.asarray(found.embedding, np.float32), vector)
        assert orjson.loads(found.encode()) == orjson.loads(value) | {"embedding": found.embedding}
        assert (found.chunk, found.chunk_count, found.original_text) == (1, 2, "two")
        assert found.version == document.version.label

    @pytest.mark.parametrize(("sent", "told"), [(1_700_000_000, 1_700_000_000.0), (None, TS)])
    def test_a_chunk_has_its_inputs_time_where_there_is_one_and_ours_beside_it(self, sent, told):
        source = record({"id": "d", "text": "t", "timestamp": sent})
        document = TextMessage.decode(source, Limits()).to_document(source)
        chunk = StoredChunk(uuid.UUID(int=1), 0, "t", 0, 1, np.ones(2, np.float32))
        found = Embedding.of(document, chunk, chunk_count=1, model="m", now=TS)
        assert (found.timestamp, found.processing_timestamp) == (told, TS)
        assert list(orjson.loads(found.encode())) == SHAPES[Embedding]

    def test_an_embeddings_own_version_holds_its_offset(self):
        incoming = record({**LEAST[Embedding], "version": "1700000000000.42"})
        document = Embedding.decode(incoming, LIMITS).to_document(incoming)
        assert document.version.numbers == (1_700_000_000_000, 42)

    def test_a_vectors_text_is_found_in_its_metadata(self):
        for value in ({"text": "x"}, {"metadata": {"text": "x"}}, {"metadata": {"content": "x"}}):
            incoming = record({**LEAST[VectorUpdate], **value})
            assert VectorUpdate.decode(incoming, LIMITS).to_document(incoming).text == "x"

    def test_a_summary_request_carries_the_document(self):
        incoming = record({"id": "d", "text": "t", "title": "Q3", "batch_id": "b", "version": 4})
        document = FinancialDocument.decode(incoming, LIMITS).to_document(incoming)
        request = SummaryRequest.of(document, "hash")
        sent = record(request.encode(), b"d", topic="summary-requests")
        received = SummaryRequest.decode(sent, LIMITS)
        assert received == request
        assert received.content_hash == "hash"
        assert received.to_document(sent) == document

    def test_the_header_can_force_a_summary(self):
        sent = record(LEAST[SummaryRequest], b"d", [("tickertape-force", b"1")])
        assert SummaryRequest.decode(sent, LIMITS).to_document(sent).force
        assert not read(SummaryRequest, LEAST[SummaryRequest]).force


class TestEmbedding:
    def test_another_embedders(self):
        value = {
            "id": 5,
            "text": "t",
            "embedding": [1, 2],
            "timestamp": "2024-01-31T10:00:00.25",
            "source": "s",
            "table_name": "news",
        }
        found = read(Embedding, value)
        assert (found.id, found.original_text, found.input_source) == ("5", "t", "s")
        assert (found.embedding, found.embedding_dimension) == ([1.0, 2.0], 2)
        assert (found.chunk, found.chunk_count, found.timestamp) == (0, 1, TS)

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"embedding": None}, "embedding"),
            ({"embedding": []}, "embedding"),
            ({"embedding": "0.5"}, "embedding"),
            ({"embedding": [0.5, None]}, r"embedding\[1\]"),
            ({"embedding_dimension": 3}, "embedding_dimension"),
            ({"chunk": 2, "chunk_count": 2}, "chunk"),
            ({"version": "1.2.3"}, "version"),
            ({"version": "1."}, "version"),
        ],
    )
    def test_refuses_and_names_the_field(self, more, field):
        with pytest.raises(InvalidRecord, match=rf"^{field}: expected"):
            read(Embedding, {**LEAST[Embedding], **more})


class TestVectorUpdate:
    def test_operation_in_any_case(self):
        assert read(VectorUpdate, {**LEAST[VectorUpdate], "operation": "UPDATE"}).operation == (
            "update"
        )

    @pytest.mark.parametrize(
        ("value", "field"),
        [
            ({"operation": "upsert", "vector": [1]}, "operation"),
            ({"vector": [1]}, "operation"),
            ({"operation": "insert"}, "vector"),
            ({"operation": "update", "vector": []}, "vector"),
        ],
    )
    def test_refuses_and_names_the_field(self, value, field):
        with pytest.raises(InvalidRecord, match=rf"^{field}: expected"):
            read(VectorUpdate, value)


class TestDataIngestion:
    SECRET = {
        **LEAST[DataIngestion],
        "connection_params": {"host": "h", "password": "hunter2", "uri": "pg://u:hunter2@h/d"},
    }

    def test_key(self):
        assert read(DataIngestion, LEAST[DataIngestion]).key == "postgresql_news"
        assert read(DataIngestion, {"source_id": "news"}).key == "news"

    def test_is_never_shown_with_its_secrets(self):
        found = read(DataIngestion, self.SECRET)
        assert found.connection_params["password"] == "hunter2"
        assert "hunter2" not in repr(found) + str(found) + f"{found}"
        assert "postgresql" in repr(found)

    @pytest.mark.parametrize("value", ["pg://u:hunter2@h/d", ["hunter2"], 5])
    def test_wrong_connection_params_are_not_shown(self, value):
        with pytest.raises(InvalidRecord, match=r"^connection_params: expected an object") as error:
            read(DataIngestion, {**self.SECRET, "connection_params": value})
        assert "hunter2" not in str(error.value)

    @pytest.mark.parametrize("missing", ["db_type", "table_or_collection"])
    def test_names_what_is_missing(self, missing):
        value = {k: v for k, v in LEAST[DataIngestion].items() if k != missing}
        with pytest.raises(InvalidRecord, match=rf"^{missing}: expected"):
            read(DataIngestion, value)


class TestBatchStatus:
    def test_a_foreign_declaration(self):
        found = read(BatchStatus, {"batch_id": 7, "status": "QUEUED", "total_documents": 3})
        assert (found.batch_id, found.status, found.total_documents) == ("7", "queued", 3)

    def test_the_key_stands_in_for_batch_id(self):
        assert read(BatchStatus, {"status": "failed"}, b"b").batch_id == "b"
        with pytest.raises(InvalidRecord, match=r"^batch_id: expected"):
            read(BatchStatus, {"status": "failed"})

    def test_what_send_declares_is_one(self):
        raw = encode.batch_status("b", "queued", total_documents=2, timestamp=TS)
        assert read(BatchStatus, raw).encode() == raw

    @pytest.mark.parametrize(
        ("more", "field"),
        [({"status": "done"}, "status"), ({"total_documents": -1}, "total_documents")],
    )
    def test_refuses_and_names_the_field(self, more, field):
        with pytest.raises(InvalidRecord, match=rf"^{field}: expected"):
            read(BatchStatus, {"batch_id": "b", "status": "queued", **more})


# Any JSON, with the names that mean something among its keys
NAMES = sorted({name for fields in SHAPES.values() for name in fields} | set(LEAST[SummaryRequest]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["insert", "delete", "queued", "2024-01-31", "1.2", "1700000000"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6)
KEYS = st.none() | st.binary(max_size=12)


# The loaded machine's speed is not what is tested
UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("model", LEAST)
@UNHURRIED
@given(value=OBJECTS, key=KEYS)
def test_arbitrary_json_is_read_or_refused_and_reads_as_it_was_written(model, value, key):
    """Most arbitrary objects are refused; with what the topic needs, many are not."""
    for chosen in (value, {**value, **LEAST[model]}, {**LEAST[model], "metadata": value}):
        incoming = record(json.dumps(chosen).encode(), key)
        try:
            once = model.decode(incoming, LIMITS)
        except PermanentError:
            continue
        again = record(once.encode(), key)
        assert model.decode(again, LIMITS) == once
        if hasattr(once, "to_document"):
            document = once.to_document(again)
            orjson.dumps(document.metadata)  # what the content hash does
            document.text.encode()


@UNHURRIED
@given(value=JSON)
def test_metadata_of_any_shape_survives(value):
    once = read(
        TextMessage, json.dumps({"id": "d", "text": "t", "metadata": {"a": value}}).encode()
    )
    assert read(TextMessage, once.encode()) == once
    assert list(once.metadata) == ["a"]


def test_all_models_are_exported():
    assert set(models.__all__) == {model.__name__ for model in LEAST}
