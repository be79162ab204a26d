"""What the demo sends, and what it asks: financial documents and shorter texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tickertape.feed import FeedDocument
from tickertape.samples import samples

TEXTS_FROM = 1000  # texts are taken from samples past the documents, so that none is sent twice
QUESTION = "Whose production was stopped by a fire, and what may it cost?"
ANSWER = "Fire at a supplier"  # how the title of a document begins that answers it

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Corpus:
    """``documents`` go to financial-documents, ``texts`` to text-messages.

    ``answers`` are the ids of what answers ``question``.
    """

    documents: list[Document]
    texts: list[Document]
    question: str
    answers: frozenset[str]

    def __len__(self) -> int:
        """Return how many records are sent."""
        return len(self.documents) + len(self.texts)

    @property
    def by_id(self) -> dict[str, Document]:
        """Everything that is sent, by id."""
        return {each["id"]: each for each in (*self.documents, *self.texts)}


def corpus(count: int) -> Corpus:
    """Return ``count`` documents, at least 1, and two texts for each three of them.

    The same count gives the same documents: sent again, they are unchanged.
    """
    documents = list(samples(count))
    texts = [_text(each) for each in islice(samples(TEXTS_FROM + count * 2 // 3), TEXTS_FROM, None)]
    titles = {each["id"]: str(each["title"]) for each in documents}
    titles |= {each["id"]: str(each["metadata"]["title"]) for each in texts}
    answers = frozenset(id for id, title in titles.items() if title.startswith(ANSWER))
    if answers:
        return Corpus(documents, texts, QUESTION, answers)
    first = documents[0]  # among a handful there is no such news
    return Corpus(documents, texts, first["title"], frozenset({first["id"]}))


def entries(documents: Iterable[Document]) -> Iterator[FeedDocument]:
    """Yield the documents as `tickertape.cli.sending` takes them."""
    for each in documents:
        yield FeedDocument(each["id"], each, each["id"])


def _text(sample: Document) -> Document:
    """What a news wire has of it: the first paragraph."""
    return {
        "id": sample["id"].replace("sample", "text"),
        "text": sample["text"].partition("\n")[0],
        "source": "wire",
        "metadata": {"title": sample["title"], "ticker": sample["ticker"]},
    }
