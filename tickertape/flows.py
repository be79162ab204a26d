"""The flows and their topics, each declared once for topics, dead letters, agents and pages.

A new topic is a row here, a setting for its name, and what handles its records.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tickertape.settings import Settings

STORE = "store"  # the stages of an item of a batch, as progress tells them
SUMMARY = "summary"


class Replay(enum.Enum):
    """Where a dead letter goes back in.

    Never the user's own topic where the flow has another: its other consumers, and those of a
    mirror, have seen the record once.
    """

    REKEYED = "rekeyed"  # our topic of its records by id, whose headers are believed
    RETRY = "retry"  # the first retry topic
    ITSELF = "itself"  # only we produce to it, or there is no other


@dataclass(frozen=True, slots=True)
class Flow:
    """A topic that is consumed, and the flow that does."""

    name: str  # of the flow, as pages and the log name it
    setting: str  # Settings.topic_<setting> is the topic's name, unless it is a store's
    partitions: int  # at creation; a topic that exists keeps its own
    key: str  # what its records are keyed by, in words
    purpose: str
    replay: Replay
    id_field: str | None = None  # where its records hold the document's id; None: in none
    stage: str | None = None  # what it does of a batch's item; None: it tells no progress
    stages: tuple[str, ...] = ()  # all that has to be done of the item
    retries: bool = False  # its records can wait in retry topics
    internal: bool = False  # only we produce to it: its headers are believed
    compacted: bool = False
    hours: int | None = None  # how long its topic keeps a record; None: as other topics do
    deletable: bool = False  # a null value deletes the document of its key
    store: str | None = None  # it fills this store, and its topic is named by that

    @property
    def rekeyed(self) -> bool:
        """Users produce to it, perhaps without the id as key."""
        return self.replay is Replay.REKEYED

    def topic(self, settings: Settings) -> str:
        """Return the topic's name."""
        if self.store is not None:
            return f"{settings.app_id}-{self.setting}"
        name: str = getattr(settings, f"topic_{self.setting}")
        return name


def _of_documents(
    name: str,
    setting: str,
    partitions: int,
    key: str,
    purpose: str,
    *,
    id_field: str = "id",
    stages: tuple[str, ...] = (STORE,),
) -> Flow:
    """Return a flow whose records are documents that users produce, to be stored."""
    return Flow(
        *(name, setting, partitions, key, purpose),
        replay=Replay.REKEYED,
        id_field=id_field,
        stage=STORE,
        stages=stages,
        retries=True,
        deletable=True,
    )


INGESTION = Flow(
    *("ingestion", "data_ingestion", 12, "source id", "a request to ingest a source"),
    replay=Replay.RETRY,
    retries=True,
)
TEXT = _of_documents("text", "text_messages", 8, "id", "a text to embed")
DOCUMENTS = _of_documents(
    *("documents", "financial_documents", 8, "id", "a document to embed and summarise"),
    stages=(STORE, SUMMARY),
)
REQUESTS = _of_documents(
    *("requests", "embedding_requests", 8, "document_id", "a piece of an ingested source to embed"),
    id_field="document_id",
)
VECTORS = _of_documents(
    *("vectors", "embeddings", 8, "document id", "a vector, ours or another embedder's"),
)
UPDATES = _of_documents(
    *("updates", "vector_updates", 4, "document_id"),
    "insert, update, delete with a vector made elsewhere",
    id_field="document_id",
)
SUMMARIES = Flow(
    *("summaries", "summary_requests", 8, "id", "internal: documents to summarise"),
    replay=Replay.ITSELF,
    id_field="id",
    stage=SUMMARY,
    stages=(STORE, SUMMARY),
    retries=True,
    internal=True,
)
DECLARATIONS = Flow(
    *("declarations", "batch_status", 8, "batch_id", "where a batch stands"),
    replay=Replay.ITSELF,
    compacted=True,
)
PROGRESS = Flow(
    *("progress", "batch_progress", 8, "batch_id", "internal: deltas"),
    replay=Replay.ITSELF,
)
CHAT = Flow(
    *("chat", "chat_turns", 8, "user", "internal: what was said in conversations"),
    replay=Replay.ITSELF,
    hours=1,  # it is in the table's changelog then, and what is deleted there is to be gone here
)

FLOWS = (
    *(INGESTION, TEXT, DOCUMENTS, REQUESTS, VECTORS, UPDATES),
    *(SUMMARIES, DECLARATIONS, PROGRESS, CHAT),
)


def follower(store: str) -> Flow:
    """Return the flow that fills a store beside the first (`tickertape.followers`)."""
    return Flow(
        name=f"store-{store}",
        setting=f"store-{store}",
        partitions=8,
        key="tenant, collection and id",
        purpose=f"internal: documents that the store {store} is to take over",
        replay=Replay.ITSELF,
        retries=True,
        internal=True,
        compacted=True,
        store=store,
    )


def of(settings: Settings) -> tuple[Flow, ...]:
    """Return all flows there are with these settings."""
    return (*FLOWS, *map(follower, settings.stores[1:]))


def deletable(settings: Settings) -> list[str]:
    """Return the topics where a null value deletes the document of its key."""
    return [flow.topic(settings) for flow in FLOWS if flow.deletable]
