"""Kafka: brokers, topics, what is asked of the producer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from tickertape.settings.section import Section, env


class KafkaSettings(Section):
    """How Kafka is reached, and what its topics are called."""

    brokers: str | None = Field(
        None,
        validation_alias=env("KAFKA_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"),
        description="Kafka brokers, host:port, comma-separated. Unset: the embedded broker.",
    )
    app_id: str = Field(
        "tickertape",
        validation_alias=env("TICKERTAPE_APP_ID"),
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="The Faust app's id, which is the consumer group.",
    )
    broker_port: int = Field(
        9092,
        ge=1,
        le=65535,
        validation_alias=env("TICKERTAPE_BROKER_PORT"),
        description="Port of the embedded broker on localhost.",
    )
    topic_data_ingestion: str = Field(
        "data-ingestion",
        validation_alias=env("TICKERTAPE_TOPIC_DATA_INGESTION"),
        description="Requests to ingest a source.",
    )
    topic_text_messages: str = Field(
        "text-messages",
        validation_alias=env("TICKERTAPE_TOPIC_TEXT_MESSAGES"),
        description="Texts to embed.",
    )
    topic_financial_documents: str = Field(
        "financial-documents",
        validation_alias=env("INPUT_TOPIC"),
        description="Documents to embed and summarise.",
    )
    topic_embedding_requests: str = Field(
        "embedding-requests",
        validation_alias=env("TICKERTAPE_TOPIC_EMBEDDING_REQUESTS"),
        description="Pieces of an ingested source to embed.",
    )
    topic_embeddings: str = Field(
        "embeddings",
        validation_alias=env("TICKERTAPE_TOPIC_EMBEDDINGS"),
        description="Vectors, ours or another embedder's.",
    )
    topic_vector_updates: str = Field(
        "vector-updates",
        validation_alias=env("TICKERTAPE_TOPIC_VECTOR_UPDATES"),
        description="Inserts, updates and deletes with vectors made elsewhere.",
    )
    topic_summary_requests: str = Field(
        "summary-requests",
        validation_alias=env("TICKERTAPE_TOPIC_SUMMARY_REQUESTS"),
        description="Internal: documents handed to the summariser.",
    )
    topic_llm_results: str = Field(
        "llm-results",
        validation_alias=env("OUTPUT_TOPIC"),
        description="Summaries.",
    )
    topic_batch_status: str = Field(
        "batch-status",
        validation_alias=env("TICKERTAPE_TOPIC_BATCH_STATUS"),
        description="Where each batch stands; compacted.",
    )
    topic_batch_progress: str = Field(
        "batch-progress",
        validation_alias=env("TICKERTAPE_TOPIC_BATCH_PROGRESS"),
        description="Internal: progress deltas.",
    )
    topic_chat_turns: str = Field(
        "chat-turns",
        validation_alias=env("TICKERTAPE_TOPIC_CHAT_TURNS"),
        description="Internal: what was said in conversations, for an hour.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none",
        validation_alias=env("TICKERTAPE_COMPRESSION"),
        description="Compression of what we produce.",
    )
    linger_ms: int = Field(
        5,
        ge=0,
        le=1000,
        validation_alias=env("TICKERTAPE_LINGER_MS"),
        description="How long the producer waits to fill a batch (milliseconds).",
    )
    producer_batch_bytes: int = Field(
        131_072,
        ge=1024,
        validation_alias=env("TICKERTAPE_PRODUCER_BATCH_BYTES"),
        description="Size of a producer batch (bytes).",
    )

    @field_validator("brokers")
    @classmethod
    def _hosts(cls, value: str | None) -> str | None:
        if value is None:
            return None
        hosts = [host.strip() for host in value.split(",") if host.strip()]
        for host in hosts:
            name, _, port = host.rpartition(":")
            if not name or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError(f"expected host:port, comma-separated, got {host!r}")
        return ",".join(hosts)

    @property
    def embedded_broker(self) -> bool:
        """True where no broker is named, so that the embedded one is used."""
        return self.brokers is None

    @property
    def bootstrap(self) -> str:
        """The brokers to connect to."""
        return self.brokers or f"localhost:{self.broker_port}"
