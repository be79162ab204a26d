"""The contract of a summariser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """What is to be summarised. ``metadata`` has title, document_type, company... when known."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and what it cost. Token counts are 0 where no LLM was asked."""

    text: str
    model_name: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    # Extractive: every sentence is verbatim in the document. LLM: the numbers in the summary
    # that do not stand in the document (empty = verified).
    verbatim: bool = False
    unsupported: tuple[str, ...] = ()


class Summarizer(Protocol):
    """Errors: `OutageError` (dependency "llm") when it is down or overloaded for all,
    `TransientError`/`Timeout` when a call failed, `PermanentError` when the request is wrong."""

    name: str  # what model_name says
    dependency: str | None  # the breaker's name; None when nothing outside is needed

    async def start(self) -> None:
        """Get ready."""

    async def stop(self) -> None:
        """Close connections. Safe to call twice."""

    async def ping(self) -> None:
        """Raise when it is not usable now."""

    async def summarize(self, request: SummaryRequest) -> Summary:
        """Summarise one document. Cancelling ends the call at once."""
