"""Each sentence of an answer with what it rests on, and whether its figures stand there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from tickertape.answer.base import Figure, Reference, Statement
from tickertape.answer.plain import CITATION, CITED, numbers_of
from tickertape.answer.prompts import about
from tickertape.answer.relevance import STEM
from tickertape.chunking import sentences
from tickertape.grounding import claimed, unsupported
from tickertape.terms import significant
from tickertape.text import comparable

RESTS_ON_MIN = 0.5  # of a sentence's words, that a source must have where none is named

_LEADING = re.compile(rf"\A(?:\s{{0,9}}{CITED})+\s{{0,9}}", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")


def statements(answer: str, sources: Sequence[Reference]) -> list[Statement]:
    """Return the answer's sentences, checked against the sources that they name."""
    texts = [_text(source) for source in sources]
    return [_checked(text, texts) for text in split(answer)]


def split(answer: str) -> list[str]:
    """Return the sentences, each with the citations behind its stop."""
    found: list[str] = []
    for start, end in sentences(answer):
        text = answer[start:end]
        leading = _LEADING.match(text)
        if leading and found and not _cites(found[-1]):
            found[-1] = f"{found[-1]} {leading[0].strip()}"
            text = text[leading.end() :]
        elif leading and leading.end() == len(text) and found:
            found[-1] = f"{found[-1]} {text}"
            continue
        if text.strip():
            found.append(text)
    return found


def _checked(text: str, texts: Sequence[str]) -> Statement:
    named = list(dict.fromkeys(_numbers(text)))
    known = [number for number in named if 1 <= number <= len(texts)]
    bare = " ".join(CITATION.sub(" ", text).split())
    rests_on = known or _nearest(bare, texts)
    against = [texts[number - 1] for number in rests_on] or texts
    figures = comparable(bare).text
    missing = set(unsupported(figures, against))
    return Statement(
        text=text.strip(),
        sources=tuple(rests_on),
        cited=bool(known),
        unknown=tuple(number for number in named if number not in known),
        figures=tuple(Figure(one, one not in missing) for one in claimed(figures)),
    )


def _nearest(text: str, texts: Sequence[str]) -> list[int]:
    """The source that has the most of a sentence's words, if it has enough of them."""
    wanted = _stems(text)
    most = [len(wanted & _stems(source)) for source in texts]
    best = max(most, default=0)
    return [most.index(best) + 1] if wanted and best >= RESTS_ON_MIN * len(wanted) else []


def _stems(text: str) -> set[str]:
    return {word[:STEM] for word in significant(_WORD.findall(text.lower()))}


def _numbers(text: str) -> Iterator[int]:
    for match in CITATION.finditer(text):
        yield from numbers_of(match)


def _cites(text: str) -> bool:
    return next(_numbers(text), None) is not None


def _text(source: Reference) -> str:
    """The passage, with what is known of its document."""
    return comparable(f"{about(source.hit.metadata)}\n\n{source.hit.text}").text


def texts_of(sources: Iterable[Reference]) -> list[str]:
    """Return the passages as they stand, with what is known of their documents."""
    return [f"{about(source.hit.metadata)}\n{source.hit.text}" for source in sources]
