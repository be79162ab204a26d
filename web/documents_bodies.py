"""What is asked of documents, and what is answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from web.body import Answer, Body
from web.dlq_bodies import DeadLetter
from web.fields import Id, Number, Short, Text, Tree, Ts, Whole, choices


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


class FilesForm(Body):
    """Files, read as those of a folder are; all other fields are those of each document."""

    model_config = ConfigDict(extra="allow")

    file: list[bytes] = Field(
        min_length=1,
        description="txt, md, html, pdf (a document a page), jsonl, csv (a document a row).",
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
    model: str | None = Field(description="Whose vectors they are; only these are compared.")
    note: str | None = Field(description="What whoever made the vectors should know.")
    metadata: dict[str, Any]
    summary: str | None = Field(description="Where the store remembers one.")
    chunk_count: int
    chunks: list[Chunk]


class DocumentAnswer(Answer):
    """All that is stored under an id."""

    id: str
    documents: list[Stored]
    dead_letter: DeadLetter | None = Field(description="The newest that is open.")
    unavailable: dict[str, str] = Field(description="What did not answer, and why.")
