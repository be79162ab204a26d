"""Summaries by a language model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from tickertape.errors import InvalidRecord, OutageError, SettingsError, TickertapeError
from tickertape.grounding import unsupported
from tickertape.llm import open_llm
from tickertape.llm.base import DEPENDENCY, LanguageModel
from tickertape.settings import Settings
from tickertape.summarize import prompts
from tickertape.summarize.base import Summary, SummaryRequest
from tickertape.summarize.reading import Context, Reading
from tickertape.text import blank, comparable, readable

log = logging.getLogger(__name__)


class LLMSummarizer:
    """Asks ``model`` for summaries of ``sentences`` sentences and verifies their numbers."""

    dependency: str | None = DEPENDENCY

    def __init__(self, model: LanguageModel, sentences: int = 3) -> None:
        self.name = model.name
        self._model = model
        self._sentences = sentences
        self._context = Context()
        self._asked = self._has_answered = False

    @classmethod
    def create(
        cls, settings: Settings, encoder: object, model: LanguageModel | None = None
    ) -> LLMSummarizer:
        """Build from the settings, with a model of its own unless one is given; the encoder is not
        needed.

        Raises:
            SettingsError: no model is named, LLM_URL is not set, or LLM_API_KEY cannot be used.
        """
        del encoder
        found = model or open_llm(settings)
        if found is None:
            raise SettingsError("LLM_PROVIDER: expected one that answers, and it is none")
        return cls(found, settings.summary_sentences)

    async def start(self) -> None:
        """Open the connection pool. A server that is not there yet is no error here."""
        await self._model.start()

    async def stop(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._model.stop()

    async def ping(self) -> None:
        """Ask whether it is there and has the model; learn the context's length where it is told.

        Not all that a server has stands in its list (aliases, gateways): a model that does not is
        asked for a word, until it has answered once.
        """
        described = await self._model.describe()
        if described.served is False and not self._has_answered:
            await self._ask_for_a_word()
        if not self._context.silent:  # else what it reads was seen to be less than it says
            self._context.tokens = described.context_tokens or self._context.tokens
        self._asked = True

    async def _ask_for_a_word(self) -> None:
        """Raise `OutageError` where the server refuses the model or is down."""
        try:
            await self._model.complete([{"role": "user", "content": "Say: yes."}], 8)
        except OutageError:
            raise
        except TickertapeError as error:  # a poor answer, but one of the model
            log.debug("an answer to the first question: %s", error)
        self._has_answered = True

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
