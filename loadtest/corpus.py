"""Real texts, as many as a measurement needs, each with an id and a text of its own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from loadtest.data import rows
from tickertape.samples import samples

DOCUMENTS = 400  # different financial documents
# Characters of a paragraph, from and below. Mixed is all of them: half are below 200.
LENGTHS = {"mixed": (0, 1_000_000), "short": (0, 100), "long": (400, 1_000_000)}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Text:
    """A document to embed."""

    id: str
    text: str

    @property
    def value(self) -> bytes:
        """The record's value, for text-messages."""
        return json.dumps({"id": self.id, "text": self.text}).encode()


@dataclass(frozen=True, slots=True)
class Filing(Text):
    """A financial document; ``about`` are its other fields."""

    about: Mapping[str, Any]

    @property
    def value(self) -> bytes:
        """The record's value, for financial-documents."""
        return json.dumps({**self.about, "id": self.id, "text": self.text}).encode()


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
        return _spread(self._sorted, count, self._series, self._text)

    def _text(self, paragraph: str, id: str, number: str) -> Text:
        return Text(id, f"{number} {paragraph}")


class Filings:
    """Financial documents of which any number may be taken, like a `Corpus`."""

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """``documents`` are records of financial-documents."""
        self._sorted = sorted(documents, key=lambda each: len(each["text"]))
        self._series = 0
        assert self._sorted, "no documents"

    @classmethod
    def samples(cls) -> Filings:
        """Return the demo's: reports, news and calls of some 2,000 characters, at hand anywhere."""
        return cls(samples(DOCUMENTS))

    @classmethod
    def calls(cls, path: Path) -> Filings:
        """Read earnings calls: one of 12,000 characters, as they are held."""
        calls = ({"text": " ".join(row["sentences"])} for row in rows(path)[:DOCUMENTS])
        return cls({"document_type": "transcript", **call} for call in calls)

    def take(self, count: int) -> list[Text]:
        """Return documents in random order that were never taken before: a number ends each."""
        self._series += 1
        return _spread(self._sorted, count, self._series, self._filing)

    def _filing(self, document: Mapping[str, Any], id: str, number: str) -> Text:
        return Filing(id, f"{document['text']}\nReference {number}.", document)


def _spread(
    items: Sequence[T], count: int, series: int, make: Callable[[T, str, str], Text]
) -> list[Text]:
    """So many of the items, evenly, in random order; each gets an id and a number of its own."""
    size = len(items)
    taken = [
        make(items[n * size // count], f"{series}-{n}", f"{series}{n:06d}") for n in range(count)
    ]
    random.Random(series).shuffle(taken)
    return taken
