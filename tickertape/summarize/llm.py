"""Summaries by a language model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tickertape.errors import InvalidRecord
from tickertape.grounding import unsupported
from tickertape.llm import open_llm
from tickertape.llm.base import DEPENDENCY, LanguageModel
from tickertape.settings import Settings
from tickertape.summarize import prompts
from tickertape.summarize.base import Summary, SummaryRequest
from tickertape.summarize.reading import Context, Reading
from tickertape.text import blank, comparable, readable


class LLMSummarizer:
    """Asks ``model`` for summaries of ``sentences`` sentences and verifies their numbers."""

    dependency: str | None = DEPENDENCY

    def __init__(self, model: LanguageModel, sentences: int = 3) -> None:
        self.name = model.name
        self._model = model
        self._sentences = sentences
        self._context = Context()
        self._asked = False

    @classmethod
    def create(cls, settings: Settings, encoder: object) -> LLMSummarizer:
        """Build from the settings; the encoder is not needed.

        Raises:
            SettingsError: LLM_URL is not set, or LLM_API_KEY cannot be used.
        """
        del encoder
        return cls(open_llm(settings), settings.summary_sentences)

    async def start(self) -> None:
        """Open the connection pool. A server that is not there yet is no error here."""
        await self._model.start()

    async def stop(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._model.stop()

    async def ping(self) -> None:
        """Ask whether it is there, and learn the context's length where it is told."""
        described = await self._model.describe()
        if not self._context.silent:  # else what it reads was seen to be less than it says
            self._context.tokens = described.context_tokens or self._context.tokens
        self._asked = True

    async def summarize(self, request: SummaryRequest) -> Summary:
        """Summarise one document; the errors are `LanguageModel`'s.

        `InvalidRecord` for a text of nothing but spaces.
        """
        if blank(request.text):
            raise InvalidRecord("text", "a text to summarise", request.text)
        if not self._asked:
            await self.ping()
        about = prompts.about(request.metadata)
        reading = Reading(self._model, self._context, self._sentences, about)
        # A megabyte of tags, tens of thousands of numbers: not on the event loop.
        document = await asyncio.to_thread(readable, request.text)
        text = await reading.summary(document.text)
        missing = await asyncio.to_thread(_missing, text, [document.text, about])
        return Summary(
            text,
            self.name,
            prompt_tokens=reading.prompt_tokens,
            completion_tokens=reading.completion_tokens,
            total_tokens=reading.total_tokens,
            unsupported=missing,
        )


def _missing(summary: str, source: Sequence[str]) -> tuple[str, ...]:
    """The numbers of the summary that the source does not have, however either writes them."""
    return unsupported(comparable(summary).text, [comparable(text).text for text in source])
