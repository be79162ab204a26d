"""What users send and what they get, described once: validation and /openapi.json use it.

`shapes.md` fixes the names. A reply has all of its fields, always; a body may have unknown
fields where the topic it goes to takes them as metadata.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, RootModel, model_validator

from web.fields import Filters, Flag, Id, Number, Short, Text, Tree, Ts, Whole, choices


class Body(BaseModel):
    """A request's body or query. A field that is not named here is refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """A reply. What a newer part of Tickertape adds is passed on."""

    model_config = ConfigDict(extra="allow")


# --- documents ------------------------------------------------------------------------------


class DocumentBody(Body):
    """A document; fields that are not named here become metadata."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "id": "acme-2026-q3",
                    "title": "Acme: third quarter",
                    "ticker": "ACME",
                    "text": "Revenue rose nine per cent to 4.2 billion dollars.",
                }
            ]
        },
    )

    id: Id = Field(None, description="Made where it is absent.")
    text: Text = Field(description="What is embedded and summarised.")
    timestamp: Ts = Field(
        None,
        description="Epoch seconds or milliseconds, or ISO 8601; it does not order versions.",
    )
    source: Short = None
    table_name: Id = Field(None, description="The collection.")
    metadata: Tree = Field(default_factory=dict)
    batch_id: Id = None
    version: Number = Field(None, description="Guards against older events; else Kafka's time.")
    title: Short = None
    document_type: Short = None
    company: Short = None
    ticker: Short = None
    published: Ts = None


class DocumentsBody(Body):
    """Several documents, which are one batch."""

    documents: list[DocumentBody] = Field(min_length=1)
    batch_id: Id = Field(None, description="Made where it is absent.")
    total_documents: Whole | None = Field(
        None, ge=1, description="Of the whole batch, where it is sent in several requests."
    )


DocumentsInput = DocumentBody | list[DocumentBody] | DocumentsBody


class DocumentsQuery(Body):
    """Where the documents go."""

    topic: str | None = Field(
        None,
        description="The topic of financial documents (default) or of text messages.",
        json_schema_extra=choices("inputs"),
    )
    batch_id: str | None = Field(None, min_length=1, description="As in the body.")
    total_documents: Whole | None = Field(None, ge=1, description="As in the body.")


class Queued(Answer):
    """Accepted: the broker has it."""

    message: str
    batch_id: str
    status: Literal["queued"] = "queued"
    accepted: int
    ids: list[str]


class DocumentQuery(Body):
    """Which of a document's collections."""

    collection: str | None = None


class DeleteQuery(Body):
    """Where the tombstone goes."""

    topic: str | None = Field(
        None,
        description="Send it there without asking the stores (a document still on its way).",
        json_schema_extra=choices("deletable"),
    )


class Deleting(Answer):
    """A tombstone is on its way."""

    message: str
    id: str
    status: Literal["queued"] = "queued"
    topics: list[str]


class Chunk(Answer):
    """A passage. ``start`` and ``end`` are character offsets in the document's text."""

    id: str
    chunk: int
    text: str
    start: int
    end: int


class Stored(Answer):
    """A document as one store holds it in one collection."""

    store: str
    collection: str
    version: str
    content_version: str
    content_hash: str
    deleted: bool
    updated_at: float | None = Field(description="Epoch seconds.")
    batch_id: str | None
    origin: str = Field(description="topic/partition/offset of the record that wrote it.")
    source: str | None
    model: str | None
    metadata: dict[str, Any]
    chunk_count: int
    chunks: list[Chunk]


class Original(Answer):
    """Where a record first stood."""

    topic: str | None
    partition: int | None
    offset: int | None
    timestamp: str | None


class DeadLetter(Answer):
    """A record that could not be processed, and why."""

    id: str = Field(description="topic/partition/offset of the letter.")
    topic: str
    partition: int
    offset: int
    timestamp: str | None = Field(description="When it died.")
    state: Literal["open", "replayed", "parked", "purged"]
    key: str | None
    error_class: str | None = Field(description="permanent or transient.")
    error: str | None
    reason: str | None
    batch_id: str | None
    attempts: int = Field(description="Retries before it died.")
    replays: int
    edited_from: str | None = Field(description="The letter whose edited replay this was.")
    original: Original
    size: int = Field(description="Bytes of key and value.")


class DocumentAnswer(Answer):
    """All that is stored under an id."""

    id: str
    documents: list[Stored]
    dead_letter: DeadLetter | None = Field(description="The newest that is open.")
    unavailable: dict[str, str] = Field(description="What did not answer, and why.")


# --- batches --------------------------------------------------------------------------------


class Batch(Answer):
    """Where a batch stands."""

    batch_id: str
    status: str = Field(description="queued, processing, completed or failed.")
    total_documents: int | None = None
    processed_documents: int | None = None
    error_message: str | None = None
    timestamp: str | float | None = None
    done: int = 0
    unchanged: int = 0
    superseded: int = Field(0, description="Done: something newer of the document was there.")
    retrying: int = 0
    dead: int = 0


class Batches(Answer):
    """The newest first."""

    batches: list[Batch]


class BatchQuery(Body):
    """How a batch is followed."""

    watch: Flag = Field(False, description="Follow it as server-sent events until it is finished.")


class RecentQuery(Body):
    """How many batches."""

    limit: int = Field(20, ge=1, le=500)


# --- search ---------------------------------------------------------------------------------


SECOND_NAMES = (("query", "q"), ("k", "n_results"))


def _short_names(schema: dict[str, Any]) -> None:
    """Document the second names of a search's fields; one of query and q must be there."""
    fields = schema["properties"]
    fields["q"] = {**fields["query"], "description": "The same as query."}
    fields["n_results"] = {**fields["k"], "description": "The same as k."}
    schema.pop("required", None)
    schema["oneOf"] = [{"required": ["query"]}, {"required": ["q"]}]
    schema["not"] = {"required": ["k", "n_results"]}
    schema["examples"] = [{"query": "revenue guidance", "k": 5, "mode": "hybrid", "filters": {}}]


def _query_names(schema: dict[str, Any]) -> None:
    """In a query string q is the name that is documented: there is no "one of" for parameters."""
    fields = schema["properties"]
    first = {"q": {**fields.pop("query"), "description": "Look for this. Also named query."}}
    fields["k"] = {**fields["k"], "description": "How many results. Also named n_results."}
    schema["properties"] = first | fields
    schema["required"] = ["q"]


class SearchBody(Body):
    """A question to the stored passages. ``q`` is ``query``, ``n_results`` is ``k``."""

    model_config = ConfigDict(json_schema_extra=_short_names)

    query: str = Field(
        min_length=1,
        max_length=10_000,
        pattern=r"\S",
        description="Look for this.",
        validation_alias=AliasChoices("query", "q"),
    )
    k: Whole = Field(
        5,
        ge=1,
        le=100,
        description="How many results.",
        validation_alias=AliasChoices("k", "n_results"),
    )
    mode: Literal["hybrid", "dense", "keyword"] = "hybrid"
    filters: Filters = Field(
        default_factory=dict,
        description="Metadata fields that must equal the value, or one of a list; "
        "a dotted name reaches into nested metadata.",
    )
    collection: str | None = None
    per_document: bool = Field(False, description="At most one passage a document, its best.")

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, given: Any) -> Any:
        for first, second in SECOND_NAMES if isinstance(given, dict) else ():
            if first in given and second in given:
                raise ValueError(f"expected {first} or {second}, not both")
        return given


class SearchQuery(SearchBody):
    """The same as a query string."""

    model_config = ConfigDict(json_schema_extra=_query_names)

    per_document: Flag = Field(False, description="At most one passage a document, its best.")


class Result(Answer):
    """A passage that was found. ``dense`` and ``keyword`` are null where that side missed it."""

    id: str
    collection: str
    score: float = Field(description="Cosine, BM25, or their fusion from 0 to 1.")
    dense: float | None
    keyword: float | None
    text: str
    chunk: int
    chunk_count: int
    metadata: dict[str, Any]


class Results(Answer):
    """The best first."""

    query: str
    mode: str
    results: list[Result]
    took_ms: float


# --- status ---------------------------------------------------------------------------------


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Answer):
    """All parts are up."""

    status: Literal["ready"] = "ready"


class FlowBrief(Answer):
    """A flow and its state."""

    name: str
    state: str
    reason: str


class Health(Answer):
    """What runs."""

    status: Literal["ok", "paused", "unready"]
    version: str
    summarizer: str
    model: str | None
    stores: list[str]
    uptime_seconds: float | None
    unready: dict[str, str]
    flows: list[FlowBrief]


class Flow(FlowBrief):
    """A flow in numbers. ``rate`` is in records per second over the last minute."""

    topics: list[str]
    records_in_flight: int
    bytes_in_flight: int
    lag: int | None
    partitions: int
    processed: int
    retried: int
    dead: int
    superseded: int = Field(description="Passed over, as something newer was there.")
    rate: float


class Stats(Answer):
    """Counts since the start of this worker."""

    messages_processed: int = 0
    embeddings_generated: int = 0
    summaries_generated: int = 0
    errors: int = 0
    last_processed: float | None = Field(None, description="Epoch seconds.")
    started: float | None = Field(None, description="Epoch seconds.")
    uptime_seconds: float | None = None
    paused: bool
    flows: list[Flow]


class Setting(Answer):
    """A setting; a secret's value is ``***``."""

    field: str
    value: Any
    default: Any
    description: str | None


class Config(RootModel[dict[str, Setting]]):
    """Every setting by its environment name."""


class Consuming(Answer):
    """What this worker does now."""

    status: Literal["running", "paused"]


# --- errors ---------------------------------------------------------------------------------


class FieldError(BaseModel):
    """A wrong field."""

    field: str
    message: str


class ProblemAnswer(Answer):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None
