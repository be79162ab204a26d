"""A question to the documents, and its answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from web.body import Answer, Body
from web.fields import Filters, Question, Whole


class AskBody(Body):
    """A question. It is answered from the stored passages alone."""

    question: Question = Field(description="What is asked.", examples=["Who raised the outlook?"])
    k: Whole = Field(6, ge=1, le=50, description="Passages to answer from, at most.")
    mode: Literal["hybrid", "dense", "keyword"] = Field("hybrid", description="As for /search.")
    filters: Filters = Field(default_factory=dict, description="As for /search.")
    collection: str | None = Field(None, description="Answer from one collection only.")
    stream: bool = Field(False, description="Server-sent events instead of one answer.")


class SourceItem(Answer):
    """A passage that is answered from, by the number that the answer names it by."""

    number: int
    id: str
    collection: str
    title: str | None
    text: str
    chunk: int
    chunk_count: int
    score: float
    metadata: dict[str, Any]


class SourceList(Answer):
    """The event ``sources``: what will be answered from, before the answer's first word."""

    sources: list[SourceItem]


class Piece(Answer):
    """The event ``content``: the answer's next words."""

    text: str


class Figure(Answer):
    """A number of a sentence as written; ``stands``: the sentence's sources have it."""

    text: str
    stands: bool


class Sentence(Answer):
    """A sentence of the answer, and what it rests on."""

    text: str
    sources: list[int] = Field(description="Numbers of the sources that it rests on.")
    cited: bool = Field(description="It names them; else they are the nearest.")
    unknown: list[int] = Field(description="Numbers that it names and no source has.")
    figures: list[Figure] = Field(description="Compared as values with unit and scale.")
    supported: bool = Field(
        description="It rests on a source, names none that is not there, and its figures stand."
    )


class Usage(Answer):
    """Tokens of the language model; 0 where there is none, or it does not count."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AskAnswer(Answer):
    """An answer; also the event ``done``."""

    answer: str
    found: bool = Field(description="False: the documents do not say.")
    sources: list[SourceItem]
    sentences: list[Sentence]
    model: str = Field(description="Who wrote it; extractive: the passages, word for word.")
    cut: bool = Field(description="It ended at its greatest length, not by itself.")
    usage: Usage
    took_ms: float
