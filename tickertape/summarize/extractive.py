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
from tickertape.summarize.likeness import word_vectors
from tickertape.summarize.selection import Draft, choose, draft
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
    "Operating profit for the half year was $85 million, against $78 million a year ago.",
    "The net loss was $12 million, or $0.30 per share, compared with a loss of $15 million.",
    "Sales rose 6 percent and profit before tax fell 4 percent.",
    "Gross margin was 45.2 percent of sales, and EBITDA was $210 million.",
)


class ExtractiveSummarizer:
    """Picks ``sentences`` sentences of a document.

    A text of no more sentences than that is its own summary. Errors are the encoder's, and
    `InvalidRecord` for a text of nothing but spaces.
    """

    dependency: str | None = None

    def __init__(self, encoder: SentenceEncoder, sentences: int = 3) -> None:
        self.name = f"extractive/{encoder.embedder.identity}"
        self._encoder = encoder
        self._together = Together(encoder, "summaries")
        self._sentences = sentences

    @classmethod
    def create(
        cls, settings: Settings, encoder: SentenceEncoder, model: object = None
    ) -> ExtractiveSummarizer:
        """Build from the settings; no language model is needed."""
        del model
        return cls(encoder, settings.summary_sentences)

    async def start(self) -> None:
        """Nothing to open: the encoder belongs to others."""

    async def stop(self) -> None:
        """Nothing to close: the encoder belongs to others."""

    async def ping(self) -> None:
        """Always usable: nothing outside is needed."""

    async def summarize(self, request: SummaryRequest) -> Summary:
        """Summarise one document. Of a text that is no report up to 200 sentences are embedded."""
        return Summary(_joined(await self.select(request)), self.name, verbatim=True)

    async def select(self, request: SummaryRequest) -> list[str]:
        """Return the sentences of the summary; a short text as one."""
        if blank(request.text):
            raise InvalidRecord("text", "a text to summarise", request.text)
        # 1 MB takes about a second of rules: not on the event loop.
        text, plan, said, words = await asyncio.to_thread(self._draft, request)
        spans: Sequence[Span] = plan.spans
        if words is not None:
            spans = choose(plan, words[: len(said)], self._sentences, like=words[len(said) :])
        elif len(spans) > self._sentences:
            spans = choose(plan, await self._embed(said), self._sentences)
        elif not plan.repeated:
            return [text.strip()]
        return [without_bullet(text[start:end]) for start, end in spans]

    def _draft(self, request: SummaryRequest) -> tuple[str, Draft, list[str], Vectors | None]:
        """The text, what is to be chosen from it and how that reads; of a report, where there is
        something to choose, the words of these sentences and the prototypes."""
        text = readable(request.text).text
        plan = draft(text, request.metadata, self._sentences)
        said = [comparable(text[slice(*plan.spans[i])]).text for i in plan.candidates]
        if not plan.financial or len(plan.spans) <= self._sentences:
            return text, plan, said, None
        return text, plan, said, word_vectors([*said, *PROTOTYPES])

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
