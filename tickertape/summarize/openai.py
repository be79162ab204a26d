"""Summaries by an OpenAI-compatible server: vLLM, Ollama, a gateway."""

from __future__ import annotations

import asyncio

from tickertape.errors import InvalidRecord
from tickertape.settings import Settings
from tickertape.summarize import prompts
from tickertape.summarize.base import Summary, SummaryRequest
from tickertape.summarize.chat import ChatClient
from tickertape.summarize.chat_errors import DEPENDENCY
from tickertape.summarize.numbers import unsupported
from tickertape.summarize.reading import Context, Reading


class OpenAISummarizer:
    """Asks ``client`` for summaries of ``sentences`` sentences and verifies their numbers."""

    dependency: str | None = DEPENDENCY

    def __init__(self, client: ChatClient, sentences: int = 3) -> None:
        self.name = client.model
        self._client = client
        self._sentences = sentences
        self._context = Context()
        self._asked = False

    @classmethod
    def create(cls, settings: Settings, encoder: object) -> OpenAISummarizer:
        """Build from the settings; the encoder is not needed.

        Raises:
            SettingsError: LLM_URL or LLM_API_KEY cannot be used.
        """
        del encoder
        key = settings.llm_api_key
        client = ChatClient(
            settings.llm_url or "",
            settings.llm_model,
            key=key.get_secret_value() if key else None,
            timeout_seconds=settings.llm_timeout_seconds,
            concurrency=settings.llm_concurrency,
        )
        return cls(client, settings.summary_sentences)

    async def start(self) -> None:
        """Open the connection pool. A server that is not there yet is no error here."""
        await self._client.start()

    async def stop(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._client.stop()

    async def ping(self) -> None:
        """Ask for the server's models, and learn the context's length where it is told."""
        for entry in await self._client.models():
            length = entry.get("max_model_len")
            if entry.get("id") == self.name and isinstance(length, int) and length > 0:
                self._context.tokens = length
        self._asked = True

    async def summarize(self, request: SummaryRequest) -> Summary:
        """Summarise one document; the errors are `ChatClient`'s.

        `InvalidRecord` for a text of nothing but spaces.
        """
        if not request.text.strip():
            raise InvalidRecord("text", "a text to summarise", request.text)
        if not self._asked:
            await self.ping()
        about = prompts.about(request.metadata)
        reading = Reading(self._client, self._context, self._sentences, about)
        text = await reading.summary(request.text)
        # Tens of thousands of numbers in a long filing: not on the event loop.
        missing = await asyncio.to_thread(unsupported, text, [request.text, about])
        return Summary(
            text,
            self.name,
            prompt_tokens=reading.prompt_tokens,
            completion_tokens=reading.completion_tokens,
            total_tokens=reading.total_tokens,
            unsupported=missing,
        )
