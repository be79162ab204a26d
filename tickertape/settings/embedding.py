"""The embedding model, its engine, chunks and batches."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from tickertape.settings.section import Section, env

DEFAULT_EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


class EmbeddingSettings(Section):
    """From texts to vectors."""

    embedding_model: str = Field(
        DEFAULT_EMBEDDING_MODEL,
        validation_alias=env("TICKERTAPE_EMBEDDING_MODEL", "EMBEDDING_MODEL"),
        description="Name of a sentence-transformers model, or a folder.",
    )
    engine: Literal["auto", "onnx", "openvino"] = Field(
        "auto",
        validation_alias=env("TICKERTAPE_ENGINE"),
        description="What runs the model. auto: onnx, or openvino where that is installed, has "
        "its model (of int8: export-model made it) and was measured to be faster on this CPU.",
    )
    precision: Literal["auto", "fp32", "int8"] = Field(
        "auto",
        validation_alias=env("TICKERTAPE_PRECISION"),
        description="Of the model's weights. auto: int8 on a CPU, fp32 on CUDA.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        validation_alias=env("TICKERTAPE_DEVICE"),
        description="auto takes CUDA where onnxruntime-gpu finds it.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=1024,
        validation_alias=env("TICKERTAPE_THREADS"),
        description="Threads of the embedding engine. 0: one a core.",
    )
    chunk_tokens: int = Field(
        256,
        ge=16,
        le=8192,
        validation_alias=env("TICKERTAPE_CHUNK_TOKENS"),
        description="Most tokens of a chunk, special tokens included (the model's limit if lower).",
    )
    chunk_overlap_tokens: int = Field(
        32,
        ge=0,
        le=4096,
        validation_alias=env("TICKERTAPE_CHUNK_OVERLAP_TOKENS"),
        description="Tokens a chunk repeats of the one before, in whole sentences where they fit.",
    )
    batch_tokens: int = Field(
        512,
        ge=16,
        validation_alias=env("TICKERTAPE_BATCH_TOKENS"),
        description="Budget of padded tokens of one inference.",
    )
    batch_wait_ms: int = Field(
        0,
        ge=0,
        le=60_000,
        validation_alias=env("TICKERTAPE_BATCH_WAIT_MS"),
        description="Longest wait to fill a window while the model is idle (milliseconds).",
    )

    @field_validator("embedding_model")
    @classmethod
    def _full_name(cls, value: str) -> str:
        """The published name is the full one; a bare name is sentence-transformers'."""
        plain = "/" not in value and not Path(value).expanduser().is_dir()
        return f"sentence-transformers/{value}" if plain else value

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.chunk_overlap_tokens * 2 > self.chunk_tokens:
            raise ValueError(
                "TICKERTAPE_CHUNK_OVERLAP_TOKENS: expected at most half of "
                f"TICKERTAPE_CHUNK_TOKENS ({self.chunk_tokens}), got {self.chunk_overlap_tokens}"
            )
        return self
