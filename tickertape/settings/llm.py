"""The language model's server, summaries and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from tickertape.settings.section import Seconds, Section, env

EXPECTED = "expected http://host[:port][/path]"


class LLMSettings(Section):
    """Who writes summaries and answers, and how long they are."""

    llm_provider: Literal["openai", "none"] | None = Field(
        None,
        validation_alias=env("LLM_PROVIDER"),
        description="Who writes: `openai` (any server with OpenAI's chat completions), or `none` "
        "(a document's own sentences). Unset: `openai` where LLM_URL is set.",
    )
    llm_url: str | None = Field(
        None,
        validation_alias=env("LLM_URL"),
        description="An OpenAI-compatible server. Unset: extractive summaries and answers.",
    )
    llm_api_key: SecretStr | None = Field(
        None, validation_alias=env("LLM_API_KEY"), description="Key of that server."
    )
    llm_api_key_file: Path | None = Field(
        None, validation_alias=env("LLM_API_KEY_FILE"), description="File that holds the key."
    )
    llm_model: str = Field(
        "mistralai/Mistral-7B-Instruct-v0.2",
        validation_alias=env("MODEL_NAME"),
        description="Model asked of the LLM server.",
    )
    llm_timeout_seconds: Seconds = Field(
        30.0, gt=0, validation_alias=env("LLM_TIMEOUT"), description="Longest wait for one answer."
    )
    llm_concurrency: int = Field(
        8,
        ge=1,
        le=1024,
        validation_alias=env("TICKERTAPE_LLM_CONCURRENCY"),
        description="Requests to the LLM server at once, at most; fewer while it says 429 or 503.",
    )
    llm_temperature: float = Field(
        0.0,
        ge=0,
        le=2,
        validation_alias=env("TICKERTAPE_LLM_TEMPERATURE"),
        description="How freely the LLM chooses its words.",
    )
    answer_tokens_max: int = Field(
        512,
        ge=16,
        le=32_768,
        validation_alias=env("TICKERTAPE_ANSWER_TOKENS_MAX"),
        description="Longest answer to a question (tokens of the LLM).",
    )
    summary_sentences: int = Field(
        3,
        ge=1,
        le=50,
        validation_alias=env("TICKERTAPE_SUMMARY_SENTENCES"),
        description="Sentences of a summary.",
    )

    @field_validator("llm_url")
    @classmethod
    def _root(cls, value: str | None) -> str | None:
        """``/v1`` is added only where the URL has no path."""
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            host, _ = (parts.hostname or "").encode("idna"), parts.port  # both raise ValueError
        except ValueError:
            raise ValueError(EXPECTED) from None
        written = value.isprintable() and " " not in value
        if parts.scheme not in {"http", "https"} or not host or not written:
            raise ValueError(EXPECTED)
        if parts.username or parts.password:  # URLs end up in logs
            raise ValueError("expected no credentials in the URL; set LLM_API_KEY")
        return value.rstrip("/") if parts.path.strip("/") else f"{value.rstrip('/')}/v1"
