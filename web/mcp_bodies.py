"""JSON-RPC as the Model Context Protocol has it, and what its tools take."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from web.body import Answer, Body
from web.fields import Filters, Question, Whole


class RpcBody(Body):
    """A request (with an id), a notification (without one), or a client's answer."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]}
    )

    jsonrpc: Literal["2.0"]
    id: int | float | str | None = None
    method: str | None = Field(None, min_length=1, max_length=200)
    params: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class RpcAnswer(Answer):
    """What a request gives: ``result``, or ``error`` with a code of the protocol."""

    jsonrpc: Literal["2.0"]
    id: int | float | str | None


class SearchTool(Body):
    """Find passages of the stored documents, the best first."""

    query: Question = Field(description="What to look for, in words.")
    k: Whole = Field(5, ge=1, le=50, description="How many passages.")
    filters: Filters = Field(default_factory=dict, description="Metadata field to value.")
    collection: str | None = Field(None, description="One collection only.")


class FetchTool(Body):
    """Read a stored document whole, by the id that search gives."""

    id: str = Field(min_length=1, max_length=4096)
    collection: str | None = Field(None, description="One collection only.")


class AskTool(Body):
    """Answer a question from the stored documents alone, with the sources of each sentence."""

    question: Question = Field(description="What is asked.")
    k: Whole = Field(6, ge=1, le=50, description="Passages to answer from, at most.")
    filters: Filters = Field(default_factory=dict, description="Metadata field to value.")
    collection: str | None = Field(None, description="One collection only.")


class BatchTool(Body):
    """Tell how far a batch of documents is: done, unchanged, retrying, dead, of how many."""

    batch_id: str = Field(min_length=1, max_length=4096)
