"""A question, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tickertape.llm.base import Message
from tickertape.search import SearchHit

EXTRACTIVE = "extractive"  # the model's name where there is none


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the stored passages.

    ``k``: passages to answer from, at most. ``history``: earlier turns, the oldest first.
    ``instructions``: how the asker wants it told, below our own rules.
    """

    text: str
    k: int = 6
    mode: str = "hybrid"
    filters: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None
    history: Sequence[Message] = ()
    instructions: str = ""
    tokens_max: int | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A passage by the number that the answer names it by, from 1."""

    number: int
    hit: SearchHit


@dataclass(frozen=True, slots=True)
class Sources:
    """What will be answered from; it comes before the answer's first word."""

    sources: Sequence[Reference]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a sentence as written, and whether its sources have it."""

    text: str
    stands: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of the answer.

    ``sources``: the numbers of those that it rests on, named by it (``cited``) or else the nearest.
    ``unknown``: numbers that it names and no source has.
    """

    text: str
    sources: Sequence[int]
    cited: bool
    unknown: Sequence[int]
    figures: Sequence[Figure]

    @property
    def supported(self) -> bool:
        """It rests on a source, names none that is not there, and its figures stand in them."""
        stand = all(figure.stands for figure in self.figures)
        return bool(self.sources) and not self.unknown and stand


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered. ``found``: the documents say something; ``cut``: it ended at its length.

    Token counts are 0 where there is no language model, or it does not count.
    """

    text: str
    found: bool
    sources: Sequence[Reference]
    sentences: Sequence[Statement]
    model: str
    cut: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    took_ms: float = 0.0
