"""A searchable corpus of any size out of 1,279 real paragraphs: words, vectors and queries.

Vectors drawn at random would say nothing: a high recall, or a low one, is a matter of how they
lie. Here they lie as the model puts real texts:

- Every sentence of the paragraphs is embedded by the real model. A chunk's text is two to four of
  these, most of one paragraph, the others from anywhere; its figures are drawn anew, so that the
  vocabulary grows with the corpus as that of real reports does.
- Its vector is the mean of its sentences' vectors by length, which is near what the model gives
  for the whole text, plus noise: the difference of two other real vectors (so it has the model's
  own covariance) and a little of every direction.
- Queries are the questions that people wrote for these paragraphs, embedded by the real model.

A million chunks are then about 800 variants of each paragraph, closer together than real passages
are: finding the ten nearest is harder than among as many real ones.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtest.data import PARAGRAPHS, QUESTIONS, rows
from tickertape.chunking import sentences
from tickertape.documents import Document, DocumentKey, Put, StoredChunk, Vectors, chunk_id
from tickertape.editions import Edition
from tickertape.embed.runner import Runner
from tickertape.versions import Origin, Stamp, Version

COLLECTION = "reports"
CHUNKS_PER_DOCUMENT = 4
SENTENCES_OF_A_CHUNK = (2, 3, 4)
SAME_PARAGRAPH = 0.7  # of a chunk's sentences after the first
COVARIED_NOISE = 0.25  # times the difference of two unit vectors
EVEN_NOISE = 0.15  # norm
PIECE = 512  # documents whose vectors are made at a time
FIGURE = re.compile(r"\d+")
KINDS = ("10-K", "10-Q", "8-K", "transcript")
SYLLABLES = re.findall("..", "alcodefigrahoinjakelumenoraparilsote")


@dataclass(frozen=True)
class Sources:
    """The real texts and what the model makes of them. Vectors are unit rows [n, dimension]."""

    texts: Sequence[str]
    vectors: Vectors
    paragraph: Sequence[int]  # of each text; texts of one paragraph are neighbours
    questions: Sequence[str]
    question_vectors: Vectors
    model: str


async def read(folder: Path, runner: Runner) -> Sources:
    """Read the paragraphs and questions of the folder and embed them."""
    texts: list[str] = []
    paragraph: list[int] = []
    for number, row in enumerate(rows(folder / PARAGRAPHS)):
        found = [row["text"][low:high] for low, high in sentences(row["text"])]
        texts += found
        paragraph += [number] * len(found)
    questions = [row["question"] for row in rows(folder / QUESTIONS)]
    return Sources(
        texts=texts,
        vectors=await _embedded(runner, texts),
        paragraph=paragraph,
        questions=questions,
        question_vectors=await _embedded(runner, questions),
        model=runner.embedder.identity,
    )


async def _embedded(runner: Runner, texts: Sequence[str]) -> Vectors:
    sequences = [tokens.ids[: runner.limit] for tokens in await runner.tokenize(texts)]
    return _unit(await runner.embed(sequences))


class Corpus:
    """Documents by number; the same number is the same document in every process."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._lengths = np.array([len(text) for text in sources.texts], dtype=np.float32)
        firsts = np.unique(np.asarray(sources.paragraph), return_index=True)[1]
        self._bounds = [*firsts.tolist(), len(sources.texts)]

    def puts(self, first: int, last: int, version: int = 1, prefix: str = "d") -> Iterator[Put]:
        """Yield the documents of these numbers; ``version`` changes what is in them."""
        for low in range(first, last, PIECE):
            yield from self._piece(range(low, min(low + PIECE, last)), version, prefix)

    def _piece(self, numbers: range, version: int, prefix: str) -> Iterator[Put]:
        draw = random.Random(f"{prefix}{numbers.start}.{version}")
        chosen = [self._choose(draw) for _ in range(len(numbers) * CHUNKS_PER_DOCUMENT)]
        vectors = self._vectors(chosen, draw.getrandbits(32))
        for place, number in enumerate(numbers):
            low = place * CHUNKS_PER_DOCUMENT
            high = low + CHUNKS_PER_DOCUMENT
            texts = [self._text(parts, draw) for parts in chosen[low:high]]
            yield self._put(f"{prefix}{number}", version, texts, vectors[low:high], draw)

    def _choose(self, draw: random.Random) -> list[int]:
        """Sentences of one chunk."""
        first = draw.randrange(len(self.sources.texts))
        paragraph = self.sources.paragraph[first]
        low, high = self._bounds[paragraph], self._bounds[paragraph + 1]
        more = draw.choice(SENTENCES_OF_A_CHUNK) - 1
        return [first] + [
            draw.randrange(low, high)
            if draw.random() < SAME_PARAGRAPH
            else draw.randrange(len(self.sources.texts))
            for _ in range(more)
        ]

    def _text(self, parts: Sequence[int], draw: random.Random) -> str:
        text = " ".join(self.sources.texts[part] for part in parts)
        return FIGURE.sub(lambda found: _figure(found[0], draw), text)

    def _vectors(self, chosen: Sequence[Sequence[int]], seed: int) -> Vectors:
        real = self.sources.vectors
        numbers = np.random.default_rng(seed)
        made = np.zeros((len(chosen), real.shape[1]), dtype=np.float32)
        for place in range(max(SENTENCES_OF_A_CHUNK)):
            having = [row for row, parts in enumerate(chosen) if place < len(parts)]
            parts = [chosen[row][place] for row in having]
            made[having] += real[parts] * self._lengths[parts, np.newaxis]
        made = _unit(made)
        other = numbers.integers(0, len(real), (2, len(chosen)))
        made += COVARIED_NOISE * (real[other[0]] - real[other[1]])
        even = numbers.standard_normal(made.shape, dtype=np.float32)
        made += even * np.float32(EVEN_NOISE / np.sqrt(made.shape[1]))
        return _unit(made)

    def _put(
        self, id: str, version: int, texts: Sequence[str], vectors: Vectors, draw: random.Random
    ) -> Put:
        key = DocumentKey(COLLECTION, id)
        company = "".join(draw.choices(SYLLABLES, k=3)).capitalize()
        document = Document(
            key=key,
            text="\n".join(texts),
            version=Version((), Stamp(version, 0)),
            origin=Origin("financial-documents", 0, version),
            metadata={
                "title": f"{company} Inc. {draw.choice(KINDS)}",
                "company": f"{company} Inc.",
                "ticker": company[:4].upper(),
                "document_type": draw.choice(KINDS),
                "fiscal_year": draw.randrange(2015, 2026),
                "quarter": draw.randrange(1, 5),
            },
        )
        chunks: list[StoredChunk] = []
        start = 0
        for ordinal, text in enumerate(texts):
            id_ = chunk_id(key, ordinal, self.sources.model)
            end = start + len(text)
            chunks.append(StoredChunk(id_, ordinal, text, start, end, vectors[ordinal]))
            start = end + 1
        return Put(
            document, Edition(document.version), f"{id}.{version}", self.sources.model, chunks
        )


def _figure(digits: str, draw: random.Random) -> str:
    """Another figure of the same length; years stay years."""
    if len(digits) == 4 and digits[:2] in ("19", "20"):
        return str(draw.randrange(2005, 2026))
    return str(draw.randrange(10 ** (len(digits) - 1), 10 ** len(digits)))


def _unit(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / norms, dtype=np.float32)
