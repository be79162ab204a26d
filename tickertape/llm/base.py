"""The contract of a language model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

DEPENDENCY = "llm"  # the breaker's name

Message = Mapping[str, str]  # {"role", "content"}


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, without the model's thinking: never empty.

    ``cut`` tells that it ended at ``max_tokens``, not by itself. Counts are 0 where not told.
    """

    text: str
    cut: bool
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """What a server says of its model; None where it does not say."""

    served: bool | None = None  # it has a model of this name
    context_tokens: int | None = None  # what prompt and answer may have together


class LanguageModel(Protocol):
    """Errors of every call: `OutageError` (dependency "llm") when it is down, overloaded or set up
    wrongly for all, `Timeout` and `TransientError` when one call failed, `Rejected` when the
    request is wrong (`PromptTooLong` where the prompt does not fit). `NoAnswer`, which is a
    `TransientError`, where there was only thinking."""

    name: str  # what model_name says

    async def start(self) -> None:
        """Get ready; a server that is not there yet is no error."""

    async def stop(self) -> None:
        """Close connections. Safe to call twice."""

    async def describe(self) -> Description:
        """Say what is known of the model; raise when it is not usable now."""

    async def complete(self, messages: Sequence[Message], max_tokens: int) -> Completion:
        """Ask, and return the whole answer. Cancelling ends the request at once."""

    def stream(
        self, messages: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str | Completion, None]:
        """Ask, yield the answer's pieces as they come, and last the whole of it.

        The pieces together are the whole's text: no thinking, no empty piece. Closing the
        iterator ends the request at once. Somebody waits for it: it goes before `complete`.
        """
