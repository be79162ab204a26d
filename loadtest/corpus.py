"""Real paragraphs, as many as a measurement needs, each with an id and a text of its own."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loadtest.data import rows

# Characters of a paragraph, from and below. Mixed is all of them: half are below 200.
LENGTHS = {"mixed": (0, 1_000_000), "short": (0, 100), "long": (400, 1_000_000)}


@dataclass(frozen=True, slots=True)
class Text:
    """A document to embed."""

    id: str
    text: str

    @property
    def value(self) -> bytes:
        """The record's value, for text-messages."""
        return json.dumps({"id": self.id, "text": self.text}).encode()


class Corpus:
    """Paragraphs of which any number may be taken, and the mix of lengths is always the same."""

    def __init__(self, paragraphs: Iterable[str]) -> None:
        self._sorted = sorted(paragraphs, key=len)
        self._series = 0
        assert self._sorted, "no paragraphs"

    @classmethod
    def read(cls, path: Path, lengths: str = "mixed") -> Corpus:
        """Read JSON lines with a field ``text``, gzipped or not; ``lengths`` is of `LENGTHS`."""
        texts = [str(row["text"]) for row in rows(path)]
        least, below = LENGTHS[lengths]
        return cls(text for text in texts if least <= len(text) < below)

    def take(self, count: int) -> list[Text]:
        """Return texts in random order that were never taken before: a number leads each.

        They are spread evenly over all lengths, so that few stand for all, and many repeat all.
        """
        self._series += 1
        size = len(self._sorted)
        taken = [
            Text(f"{self._series}-{n}", f"{self._series}{n:06d} {self._sorted[n * size // count]}")
            for n in range(count)
        ]
        random.Random(self._series).shuffle(taken)
        return taken
