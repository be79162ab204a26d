"""Every setting, read once, frozen. Flags over environment over .env over config.yaml over default.

A field's description is its documentation: the reference and ``config show`` are made of it.
Units are last in names. A wrong value raises `SettingsError` with one line that names the setting.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tickertape.errors import SettingsError

ROLES = ("embed", "summarize", "write", "progress")
DEFAULT_EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

# What config.yaml had before Tickertape: "section.key" -> our field. The text flow's topics.
LEGACY_YAML = {
    "kafka.bootstrap_servers": "brokers",
    "kafka.input_topic": "topic_text_messages",
    "kafka.output_topic": "topic_embeddings",
    "kafka.consumer_group": "app_id",
    "model.name": "embedding_model",
    "model.max_length": "chunk_tokens",
    "model.device": "device",
    "flask.host": "web_host",
    "flask.port": "web_port",
    "logging.level": "log_level",
}

Names = Annotated[tuple[str, ...], NoDecode]
Seconds = Annotated[float, Field(ge=0)]


def _env(name: str, *more: str) -> Any:
    """The field's environment names, the first one is the one that messages use."""
    return AliasChoices(name, *more)


class Settings(BaseSettings):
    """All settings. Build it with `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    # Kafka
    brokers: str | None = Field(
        None,
        validation_alias=_env("KAFKA_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"),
        description="Kafka brokers, host:port, comma-separated. Unset: the embedded broker.",
    )
    app_id: str = Field(
        "tickertape",
        validation_alias=_env("TICKERTAPE_APP_ID"),
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="The Faust app's id, which is the consumer group.",
    )
    broker_port: int = Field(
        9092,
        ge=1,
        le=65535,
        validation_alias=_env("TICKERTAPE_BROKER_PORT"),
        description="Port of the embedded broker on localhost.",
    )
    topic_data_ingestion: str = Field(
        "data-ingestion",
        validation_alias=_env("TICKERTAPE_TOPIC_DATA_INGESTION"),
        description="Requests to ingest a source.",
    )
    topic_text_messages: str = Field(
        "text-messages",
        validation_alias=_env("TICKERTAPE_TOPIC_TEXT_MESSAGES"),
        description="Texts to embed.",
    )
    topic_financial_documents: str = Field(
        "financial-documents",
        validation_alias=_env("INPUT_TOPIC"),
        description="Documents to embed and summarise.",
    )
    topic_embedding_requests: str = Field(
        "embedding-requests",
        validation_alias=_env("TICKERTAPE_TOPIC_EMBEDDING_REQUESTS"),
        description="Pieces of an ingested source to embed.",
    )
    topic_embeddings: str = Field(
        "embeddings",
        validation_alias=_env("TICKERTAPE_TOPIC_EMBEDDINGS"),
        description="Vectors, ours or another embedder's.",
    )
    topic_vector_updates: str = Field(
        "vector-updates",
        validation_alias=_env("TICKERTAPE_TOPIC_VECTOR_UPDATES"),
        description="Inserts, updates and deletes with vectors made elsewhere.",
    )
    topic_summary_requests: str = Field(
        "summary-requests",
        validation_alias=_env("TICKERTAPE_TOPIC_SUMMARY_REQUESTS"),
        description="Internal: documents handed to the summariser.",
    )
    topic_llm_results: str = Field(
        "llm-results",
        validation_alias=_env("OUTPUT_TOPIC"),
        description="Summaries.",
    )
    topic_batch_status: str = Field(
        "batch-status",
        validation_alias=_env("TICKERTAPE_TOPIC_BATCH_STATUS"),
        description="Where each batch stands; compacted.",
    )
    topic_batch_progress: str = Field(
        "batch-progress",
        validation_alias=_env("TICKERTAPE_TOPIC_BATCH_PROGRESS"),
        description="Internal: progress deltas.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none",
        validation_alias=_env("TICKERTAPE_COMPRESSION"),
        description="Compression of what we produce.",
    )
    linger_ms: int = Field(
        5,
        ge=0,
        le=1000,
        validation_alias=_env("TICKERTAPE_LINGER_MS"),
        description="How long the producer waits to fill a batch (milliseconds).",
    )
    producer_batch_bytes: int = Field(
        131_072,
        ge=1024,
        validation_alias=_env("TICKERTAPE_PRODUCER_BATCH_BYTES"),
        description="Size of a producer batch (bytes).",
    )

    # Where things are kept
    data_dir: Path = Field(
        Path(".tickertape"),
        validation_alias=_env("TICKERTAPE_DATA_DIR"),
        description="Folder of all the embedded parts: SQLite, models, broker, Faust's tables.",
    )
    models_dir: Path | None = Field(
        None,
        validation_alias=_env("TICKERTAPE_MODELS_DIR"),
        description="Folder of the model cache. Unset: models/ in the data folder.",
    )
    stores: Names = Field(
        ("sqlite",),
        validation_alias=_env("TICKERTAPE_STORES"),
        description="Names of the stores to write to, comma-separated; the first answers.",
    )
    offline: bool = Field(
        False,
        validation_alias=_env("TICKERTAPE_OFFLINE"),
        description="Never ask the model hub.",
    )

    # Embedding
    embedding_model: str = Field(
        DEFAULT_EMBEDDING_MODEL,
        validation_alias=_env("TICKERTAPE_EMBEDDING_MODEL", "EMBEDDING_MODEL"),
        description="Name of a sentence-transformers model, or a folder.",
    )
    engine: Literal["auto", "onnx", "openvino"] = Field(
        "auto",
        validation_alias=_env("TICKERTAPE_ENGINE"),
        description="What runs the model. auto: openvino on a CPU where it is installed and, for "
        "int8, export-model has made its model; else onnx.",
    )
    precision: Literal["auto", "fp32", "int8"] = Field(
        "auto",
        validation_alias=_env("TICKERTAPE_PRECISION"),
        description="Of the model's weights. auto: int8 on a CPU, fp32 on CUDA.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        validation_alias=_env("TICKERTAPE_DEVICE"),
        description="auto takes CUDA where onnxruntime-gpu finds it.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        validation_alias=_env("TICKERTAPE_THREADS"),
        description="Threads of the embedding engine. 0: one a core.",
    )
    chunk_tokens: int = Field(
        256,
        ge=16,
        le=8192,
        validation_alias=_env("TICKERTAPE_CHUNK_TOKENS"),
        description="Most tokens of a chunk, special tokens included (the model's limit if lower).",
    )
    chunk_overlap_tokens: int = Field(
        32,
        ge=0,
        le=4096,
        validation_alias=_env("TICKERTAPE_CHUNK_OVERLAP_TOKENS"),
        description="Tokens a chunk repeats of the one before, in whole sentences where they fit.",
    )
    batch_tokens: int = Field(
        512,
        ge=16,
        validation_alias=_env("TICKERTAPE_BATCH_TOKENS"),
        description="Budget of padded tokens of one inference.",
    )
    batch_wait_ms: int = Field(
        0,
        ge=0,
        le=60_000,
        validation_alias=_env("TICKERTAPE_BATCH_WAIT_MS"),
        description="Longest wait to fill a window while the model is idle (milliseconds).",
    )

    # Summaries
    llm_url: str | None = Field(
        None,
        validation_alias=_env("LLM_URL"),
        description="An OpenAI-compatible server. Unset: extractive summaries.",
    )
    llm_api_key: SecretStr | None = Field(
        None, validation_alias=_env("LLM_API_KEY"), description="Key of that server."
    )
    llm_api_key_file: Path | None = Field(
        None, validation_alias=_env("LLM_API_KEY_FILE"), description="File that holds the key."
    )
    llm_model: str = Field(
        "mistralai/Mistral-7B-Instruct-v0.2",
        validation_alias=_env("MODEL_NAME"),
        description="Model asked of the LLM server.",
    )
    llm_timeout_seconds: Seconds = Field(
        30.0, gt=0, validation_alias=_env("LLM_TIMEOUT"), description="Longest wait for one answer."
    )
    llm_concurrency: int = Field(
        8,
        ge=1,
        le=1024,
        validation_alias=_env("TICKERTAPE_LLM_CONCURRENCY"),
        description="Requests to the LLM server at once.",
    )
    summary_sentences: int = Field(
        3,
        ge=1,
        le=50,
        validation_alias=_env("TICKERTAPE_SUMMARY_SENTENCES"),
        description="Sentences of a summary.",
    )

    # Delivery
    roles: Names = Field(
        ROLES,
        validation_alias=_env("TICKERTAPE_ROLES"),
        description=f"What this worker does, of: {', '.join(ROLES)}. Search and pages always run.",
    )
    window_records: int = Field(
        512,
        ge=1,
        le=100_000,
        validation_alias=_env("TICKERTAPE_WINDOW_RECORDS"),
        description="Most records a flow works on at a time; a larger one pads less.",
    )
    in_flight_records_max: int = Field(
        4096,
        ge=1,
        validation_alias=_env("TICKERTAPE_IN_FLIGHT_RECORDS_MAX"),
        description="Records of one flow in memory; at this number its topics are held.",
    )
    in_flight_bytes_max: int = Field(
        64 * 2**20,
        ge=1024,
        validation_alias=_env("TICKERTAPE_IN_FLIGHT_BYTES_MAX"),
        description="Bytes of one flow in memory; at this number its topics are held.",
    )
    session_timeout_seconds: float = Field(
        6.0,
        ge=3,
        le=30,
        validation_alias=_env("TICKERTAPE_SESSION_TIMEOUT"),
        description="Silence after which Kafka takes a worker for dead and gives its partitions "
        "to others. Over 6 where a network or a machine stalls for longer.",
    )
    drain_seconds: Seconds = Field(
        5.0,
        le=30,
        validation_alias=_env("TICKERTAPE_DRAIN_SECONDS"),
        description="Longest wait for what is in flight at shutdown and rebalance.",
    )
    retry_delays_seconds: Annotated[tuple[float, ...], NoDecode] = Field(
        (5.0, 30.0, 180.0, 900.0),
        validation_alias=_env("TICKERTAPE_RETRY_DELAYS"),
        description="Delay before each retry, comma-separated (seconds); its length is the count.",
    )
    retry_jitter: float = Field(
        0.1,
        ge=0,
        le=1,
        validation_alias=_env("TICKERTAPE_RETRY_JITTER"),
        description="Random part added to a delay, as a fraction of it.",
    )
    replays_max: int = Field(
        5,
        ge=1,
        validation_alias=_env("TICKERTAPE_REPLAYS_MAX"),
        description="A dead letter replayed this often is parked.",
    )
    text_bytes_max: int = Field(
        2**20,
        ge=1,
        validation_alias=_env("TICKERTAPE_TEXT_BYTES_MAX"),
        description="Largest text of a record (UTF-8 bytes); a larger one is a dead letter.",
    )
    batch_idle_seconds: Seconds = Field(
        300.0,
        validation_alias=_env("TICKERTAPE_BATCH_IDLE_SECONDS"),
        description="A batch without a total that hears nothing for so long is complete.",
    )
    batch_retention_hours: float = Field(
        168.0,
        gt=0,
        validation_alias=_env("TICKERTAPE_BATCH_RETENTION_HOURS"),
        description="How long finished batches are remembered.",
    )

    # Web
    web_host: str = Field(
        "127.0.0.1",
        validation_alias=_env("TICKERTAPE_WEB_HOST"),
        description="Address the web server listens on.",
    )
    web_port: int = Field(
        6066,
        ge=0,
        le=65535,
        validation_alias=_env("TICKERTAPE_WEB_PORT"),
        description="Its port; 0 picks a free one and says which.",
    )
    web_allowed_hosts: Names = Field(
        (),
        validation_alias=_env("TICKERTAPE_WEB_ALLOWED_HOSTS"),
        description="Host names a proxy may ask for, beside this machine's own, comma-separated.",
    )
    web_body_bytes_max: int = Field(
        16 * 2**20,
        ge=1024,
        validation_alias=_env("TICKERTAPE_WEB_BODY_BYTES_MAX"),
        description="Largest request body (bytes).",
    )

    # Log
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias=_env("TICKERTAPE_LOG_LEVEL"), description="Least level logged."
    )
    log_file: Path | None = Field(
        None,
        validation_alias=_env("TICKERTAPE_LOG_FILE"),
        description="Log to this file instead of stdout.",
    )

    @field_validator("stores", "roles", "web_allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return tuple(value) if isinstance(value, list) else value

    @field_validator("retry_delays_seconds", mode="before")
    @classmethod
    def _split_delays(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return tuple(value) if isinstance(value, list) else value

    @field_validator("retry_delays_seconds")
    @classmethod
    def _delays(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not 1 <= len(value) <= 20 or any(not 0 < delay <= 86_400 for delay in value):
            raise ValueError("expected 1 to 20 delays, each over 0 and at most 86400 seconds")
        return value

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(f"expected some of {', '.join(ROLES)}")
        unknown = [role for role in value if role not in ROLES]
        if unknown:
            raise ValueError(f"expected some of {', '.join(ROLES)}; unknown: {', '.join(unknown)}")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("embedding_model")
    @classmethod
    def _full_name(cls, value: str) -> str:
        """The published name is the full one; a bare name is sentence-transformers'."""
        plain = "/" not in value and not Path(value).expanduser().is_dir()
        return f"sentence-transformers/{value}" if plain else value

    @field_validator("llm_url")
    @classmethod
    def _llm_path(cls, value: str | None) -> str | None:
        """``/v1`` is added only where the URL has no path."""
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected http://host[:port][/path]")
        if parts.username or parts.password:
            raise ValueError("expected no credentials in the URL; set LLM_API_KEY")
        return value.rstrip("/") if parts.path.strip("/") else f"{value.rstrip('/')}/v1"

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

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if self.chunk_overlap_tokens * 2 > self.chunk_tokens:
            raise ValueError(
                "TICKERTAPE_CHUNK_OVERLAP_TOKENS: expected at most half of "
                f"TICKERTAPE_CHUNK_TOKENS ({self.chunk_tokens}), got {self.chunk_overlap_tokens}"
            )
        return self

    @property
    def embedded_broker(self) -> bool:
        """True where no broker is named, so that the embedded one is used."""
        return self.brokers is None

    @property
    def bootstrap(self) -> str:
        """The brokers to connect to."""
        return self.brokers or f"localhost:{self.broker_port}"

    @property
    def model_cache(self) -> Path:
        """The folder of the model cache."""
        return self.models_dir or self.data_dir / "models"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings


def load(root: Path | None = None, **flags: Any) -> Settings:
    """Read the settings: flags (by field name), environment, ``root``/.env, config.yaml.

    ``root`` is the folder of app.py; TICKERTAPE_CONFIG names another config file.

    Raises:
        SettingsError: one line that names the setting and what was expected.
    """
    root = root or Path.cwd()
    dotenv = root / ".env"
    try:
        _check_brokers(dotenv)
        given = {name: value for name, value in flags.items() if value is not None}
        low = _yaml(root)
        settings = _build(given, low, dotenv)
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None
    return _with_key_file(settings)


def describe(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return every setting by its environment name: value (secrets hidden), default, text."""
    shown: dict[str, dict[str, Any]] = {}
    for name, info in Settings.model_fields.items():
        value = getattr(settings, name)
        default = info.default
        shown[env_name(name)] = {
            "field": name,
            "value": _plain(value),
            "default": _plain(default),
            "description": info.description,
        }
    return shown


def env_name(field: str) -> str:
    """Return the environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    assert isinstance(alias, AliasChoices)
    return str(alias.choices[0])


def _build(given: Mapping[str, Any], low: Mapping[str, Any], dotenv: Path) -> Settings:
    """Settings() with config.yaml below everything: its values fill only what is left unset."""
    env_file = dotenv if dotenv.is_file() else None
    first = Settings(_env_file=env_file, **given)
    missing = {name: value for name, value in low.items() if name not in first.model_fields_set}
    return Settings(_env_file=env_file, **{**given, **missing}) if missing else first


def _yaml(root: Path) -> dict[str, Any]:
    """Read config.yaml as field -> value; an unknown key is named."""
    named = os.environ.get("TICKERTAPE_CONFIG")
    path = Path(named) if named else root / "config.yaml"
    if not path.is_file():
        if named:
            raise SettingsError(f"TICKERTAPE_CONFIG: there is no file {named}")
        return {}
    try:
        tree = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"{path.name}: not readable as YAML: {reason}") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"{path.name}: expected a mapping, got {type(tree).__name__}")
    values: dict[str, Any] = {}
    sections = {key.split(".")[0] for key in LEGACY_YAML}
    for key, value in tree.items():
        if key in Settings.model_fields:
            values[key] = value
        elif key in sections and isinstance(value, dict):
            for inner, leaf in value.items():
                field = LEGACY_YAML.get(f"{key}.{inner}")
                if field is None:
                    raise SettingsError(f"{path.name}: unknown key {key}.{inner}")
                values[field] = ",".join(map(str, leaf)) if isinstance(leaf, list) else leaf
        else:
            raise SettingsError(f"{path.name}: unknown key {key}")
    return values


def _check_brokers(dotenv: Path) -> None:
    known = {**(dotenv_values(dotenv) if dotenv.is_file() else {}), **os.environ}
    one, two = known.get("KAFKA_BROKERS"), known.get("KAFKA_BOOTSTRAP_SERVERS")
    if one and two and one != two:
        raise SettingsError(
            f"KAFKA_BROKERS ({one}) and KAFKA_BOOTSTRAP_SERVERS ({two}) differ: set one of them"
        )


def _with_key_file(settings: Settings) -> Settings:
    if settings.llm_api_key is not None or settings.llm_api_key_file is None:
        return settings
    try:
        key = settings.llm_api_key_file.read_text("utf-8").strip()
    except (OSError, UnicodeError):
        raise SettingsError(
            f"LLM_API_KEY_FILE: expected a readable file, got {settings.llm_api_key_file}"
        ) from None
    return settings.model_copy(update={"llm_api_key": SecretStr(key)})


def _one_line(error: ValidationError) -> str:
    """The first mistake, as ``NAME: what was expected, got value``; secrets are not shown."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    name = env_name(name) if name in Settings.model_fields else name
    field = next((f for f in Settings.model_fields if env_name(f) == name), "")
    secret = "key" in field or "url" in field  # a URL may hold a password
    got = "" if secret or "got" in message else f", got {str(first['input'])[:80]!r}"
    return f"{name}: {message[0].lower()}{message[1:]}{got}"


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    return value
