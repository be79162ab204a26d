"""Summaries of the document's own sentences, byte for byte, in its order. No LLM, no network.

What a summary is made of depends on what the text is: see `selection` and `salience`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import Protocol

from tickertape.chunking import Span
from tickertape.documents import Vectors
from tickertape.embed.base import Embedder, Tokens
from tickertape.errors import InvalidRecord
from tickertape.settings import Settings
from tickertape.summarize.base import Summary, SummaryRequest
from tickertape.summarize.selection import choose, draft

# What the sentences that matter in a report sound like; written for this, not taken from one.
PROTOTYPES = (
    "First-quarter earnings per share were $1.12, compared with $0.98 a year earlier.",
    "Adjusted earnings per share for the quarter were $0.85.",
    "Net income for the third quarter was $120 million, or $1.43 per diluted share.",
    "We expect full-year adjusted earnings per share in the range of $4.10 to $4.30.",
    "We are raising our full-year guidance for earnings per share and revenue.",
    "Fourth-quarter revenue was $2.4 billion, up 8 percent from the prior year.",
    "Net sales increased 5 percent to $640 million in the second quarter.",
    "We expect revenue of $9.5 billion to $9.8 billion for fiscal 2022.",
    "Adjusted funds from operations were $0.62 per share.",
    "Operating margin improved 120 basis points to 15.4 percent.",
)


class SentenceEncoder(Protocol):
    """What is needed of `tickertape.embed.runner.Runner`."""

    @property
    def embedder(self) -> Embedder:
        """The model."""

    async def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise without special tokens and without a limit."""

    async def embed(
        self, sequences: Sequence[Sequence[int]], urgent: bool = False, share: Hashable = None
    ) -> Vectors:
        """Embed id sequences; returns float32 unit rows [len(sequences), dimension]."""


class ExtractiveSummarizer:
    """Picks ``sentences`` sentences of a document.

    A text of no more sentences than that is its own summary. Errors are the encoder's, and
    `InvalidRecord` for a text of nothing but spaces.
    """

    dependency: str | None = None

    def __init__(self, encoder: SentenceEncoder, sentences: int = 3) -> None:
        self.name = f"extractive/{encoder.embedder.identity}"
        self._encoder = encoder
        self._sentences = sentences
        self._prototypes: Vectors | None = None

    @classmethod
    def create(cls, settings: Settings, encoder: SentenceEncoder) -> ExtractiveSummarizer:
        """Build from the settings."""
        return cls(encoder, settings.summary_sentences)

    async def start(self) -> None:
        """Embed the prototype sentences; the encoder must be running."""
        if self._prototypes is None:
            self._prototypes = await self._embed(PROTOTYPES)

    async def stop(self) -> None:
        """Nothing to close: the encoder belongs to others."""

    async def ping(self) -> None:
        """Always usable: nothing outside is needed."""

    async def summarize(self, request: SummaryRequest) -> Summary:
        """Summarise one document. At most 200 sentences of it are embedded."""
        chosen = await self.select(request)
        return Summary(" ".join(chosen), self.name, verbatim=True)

    async def select(self, request: SummaryRequest) -> list[str]:
        """Return the sentences of the summary; a short text as one."""
        text = request.text
        if not text.strip():
            raise InvalidRecord("text", "a text to summarise", text)
        # 1 MB takes about a second of rules: not on the event loop.
        plan = await asyncio.to_thread(draft, text, request.metadata, self._sentences)
        spans: Sequence[Span] = plan.spans
        if len(spans) > self._sentences:
            await self.start()
            assert self._prototypes is not None
            vectors = await self._embed([text[slice(*spans[i])] for i in plan.candidates])
            spans = choose(plan, vectors, self._prototypes, self._sentences)
        elif not plan.repeated:
            return [text.strip()]
        return [text[start:end] for start, end in spans]

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        model = self._encoder.embedder
        limit = model.max_tokens - model.special_tokens
        tokens = await self._encoder.tokenize(texts)
        return await self._encoder.embed([t.ids[:limit] for t in tokens], share="summaries")
