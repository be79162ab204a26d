"""Summaries of the document's own sentences, as they stand there, in its order. No LLM, no network.

As they stand there to a reader: without tags and invisible characters (`tickertape.text`).

What a summary is made of depends on what the text is: see `selection` and `salience`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tickertape.chunking import Span
from tickertape.documents import Vectors
from tickertape.errors import InvalidRecord
from tickertape.settings import Settings
from tickertape.summarize.base import Summary, SummaryRequest
from tickertape.summarize.forms import stopped, without_bullet
from tickertape.summarize.selection import FINANCIAL_CANDIDATES, Draft, choose, draft
from tickertape.summarize.together import SentenceEncoder, Together
from tickertape.text import blank, comparable, readable

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


class ExtractiveSummarizer:
    """Picks ``sentences`` sentences of a document.

    A text of no more sentences than that is its own summary. Errors are the encoder's, and
    `InvalidRecord` for a text of nothing but spaces.
    """

    dependency: str | None = None

    def __init__(
        self,
        encoder: SentenceEncoder,
        sentences: int = 3,
        candidates: int = FINANCIAL_CANDIDATES,
    ) -> None:
        """``candidates``: how many sentences of a report are embedded."""
        self.name = f"extractive/{encoder.embedder.identity}"
        self._encoder = encoder
        self._together = Together(encoder, "summaries")
        self._sentences = sentences
        self._candidates = candidates
        self._prototypes: Vectors | None = None

    @classmethod
    def create(
        cls, settings: Settings, encoder: SentenceEncoder, model: object = None
    ) -> ExtractiveSummarizer:
        """Build from the settings; no language model is needed."""
        del model
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
        return Summary(_joined(await self.select(request)), self.name, verbatim=True)

    async def select(self, request: SummaryRequest) -> list[str]:
        """Return the sentences of the summary; a short text as one."""
        if blank(request.text):
            raise InvalidRecord("text", "a text to summarise", request.text)
        # 1 MB takes about a second of rules: not on the event loop.
        text, plan = await asyncio.to_thread(self._draft, request)
        spans: Sequence[Span] = plan.spans
        if len(spans) > self._sentences:
            await self.start()
            assert self._prototypes is not None
            said = [comparable(text[slice(*spans[i])]).text for i in plan.candidates]
            spans = choose(plan, await self._embed(said), self._prototypes, self._sentences)
        elif not plan.repeated:
            return [text.strip()]
        return [without_bullet(text[start:end]) for start, end in spans]

    def _draft(self, request: SummaryRequest) -> tuple[str, Draft]:
        text = readable(request.text).text
        return text, draft(text, request.metadata, self._sentences, self._candidates)

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        model = self._encoder.embedder
        limit = model.max_tokens - model.special_tokens
        tokens = await self._encoder.tokenize(texts)
        return await self._together.embed([t.ids[:limit] for t in tokens])


def _joined(sentences: Sequence[str]) -> str:
    """What has no end of its own stands on a line of its own: it must not read as one with the
    next."""
    parts = [s if stopped(s) else f"{s}\n" for s in sentences[:-1]]
    return "".join(p if p.endswith("\n") else f"{p} " for p in parts) + sentences[-1]
