"""Which passages bear on a question, before anybody answers from them. Pure but for one search.

A language model refuses badly: with passages of another company before it, it answers from those.
So what a question names must stand in a passage, in what is known of its document, or elsewhere in
that document; a passage that tells of other years than the question's says nothing; and it must be
near the question, in meaning or in words. Where none is left, the documents do not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tickertape.errors import InvalidRecord
from tickertape.facets import TEXT_MAX
from tickertape.search import Search, SearchHit, SearchRequest
from tickertape.terms import significant
from tickertape.text import comparable

# all-MiniLM-L6-v2 on 312 answerable questions: the best passage's cosine is .41 to .93; on 25 of
# other worlds at most .30, but for one with a word in common.
COSINE_MIN = 0.35
WORDS_MIN = 2 / 3  # of the question's words, where the vectors do not find it near
DOCUMENTS_MAX = 200  # that mention a name, and are asked for
STEM = 5  # letters by which two words are one: "dividends", "dividend"

_WORD = re.compile(r"[^\W_]+")
_NAME = re.compile(r"(?<![\w$])[^\W\d_][\w&.'\u2019-]*")
_OWNS = re.compile(r"['\u2019]s?\Z")
_BEGINS = re.compile(r"(?:\A|[.!?:\n])\W{0,6}\Z")  # a sentence
_YEAR = re.compile(r"\b(?:FY\s?|fiscal\s)?((?:19|20)\d\d)\b|\bFY\s?'?(\d\d)\b", re.IGNORECASE)
# Capitalised, and no name of what a document is about
_NO_NAMES = frozenset(
    """
    q1 q2 q3 q4 h1 h2 fy ceo cfo coo eps ebit ebitda gaap non-gaap ifrs capex opex roe roi r&d m&a
    sec us usa usd eur gbp u.s u.s. form item note topic asc asu table january february march april
    may june july august september october november december monday tuesday wednesday thursday
    friday saturday sunday i i'm inc inc. corp corp. ltd ltd. plc group company holdings co co. ag
    sa the and of what who how yes no please
    """.split()  # noqa: SIM905 -- readable as text
)
_REFERS = frozenset(
    "it its they them their that this those these he she his her one ones same there then".split()  # noqa: SIM905
)


Name = tuple[str, ...]  # its words, in lower case


def names(question: str) -> list[Name]:
    """Return what the question names: words with a capital inside the sentence, or in capitals
    anywhere; those that stand together are one name."""
    if question == question.upper():
        return []
    found: list[list[str]] = []
    last = -1  # where the name before ended
    for match in _NAME.finditer(question):
        word = _OWNS.sub("", match[0]).rstrip(".")
        begins = _BEGINS.search(question, max(0, match.start() - 8), match.start()) is not None
        owns = _OWNS.search(match[0]) is not None
        named = word[:1].isupper() and (not begins or owns or (word.isupper() and len(word) > 1))
        if not named or word.lower() in _NO_NAMES or _YEAR.fullmatch(word):
            continue
        if found and match.start() - last == 1:
            found[-1].append(word.lower())
        else:
            found.append([word.lower()])
        last = match.start() + len(word)
    return [tuple(name) for name in found if len(name) > 1 or len(name[0]) > 1]


def years(question: str) -> list[Name]:
    """Return the years that the question names, as four digits."""
    found = {match[1] or f"20{match[2]}" for match in _YEAR.finditer(question)}
    return [(year,) for year in sorted(found)]


def searched(question: str, earlier: Sequence[str]) -> str:
    """Return what to look for: the question, with the one before it where it goes on from there."""
    words = [word.lower() for word in _WORD.findall(question)]
    goes_on = len(significant(words)) <= 2 or not _REFERS.isdisjoint(words)
    return f"{earlier[-1]}\n{question}" if earlier and goes_on else question


async def bearing(search: Search, asked: SearchRequest) -> list[SearchHit]:
    """Search, and return the hits that bear on the question, the best first."""
    hits = _distinct((await search.search(asked)).hits)
    near = [hit for hit in hits if is_near(asked.query, hit)]
    if near and (wanted := years(asked.query)):
        near = [hit for hit in near if _is_of(hit, wanted)]
    if near and (wanted := names(asked.query)):
        near = await _naming(search, asked, near, wanted)
    return near


def is_near(question: str, hit: SearchHit) -> bool:
    """Tell whether a passage is near the question, in meaning or in words."""
    if hit.dense is not None and hit.dense >= COSINE_MIN:
        return True
    wanted = _stems(question)
    return len(wanted) > 1 and len(wanted & _stems(_said(hit))) >= WORDS_MIN * len(wanted)


def _is_of(hit: SearchHit, wanted: Sequence[Name]) -> bool:
    """It tells of one of these years, or of none at all."""
    said = _said(hit)
    return _mentions(said, wanted) or not years(said)


async def _naming(
    search: Search, asked: SearchRequest, hits: Sequence[SearchHit], wanted: Sequence[Name]
) -> list[SearchHit]:
    """Those that name one of what is wanted, or whose document does in another passage.

    What is written small somewhere is a word that was written large ("Finished goods").
    """
    elsewhere = await _mentioning(search, asked, wanted)
    texts = [comparable(hit.text).text for hit in (*hits, *elsewhere)]
    proper = [name for name in wanted if not any(_stands(name[0], text) for text in texts)]
    if not proper:
        return list(hits)
    keys = {hit.key for hit in elsewhere if _mentions(_said(hit), proper)}
    return [hit for hit in hits if hit.key in keys or _mentions(_said(hit), proper)]


async def _mentioning(
    search: Search, asked: SearchRequest, wanted: Sequence[Name]
) -> Sequence[SearchHit]:
    """A passage of each document that has a word of what is wanted."""
    request = SearchRequest(
        " ".join(word for name in wanted for word in name),
        mode="keyword",
        k=DOCUMENTS_MAX,
        filters=asked.filters,
        collection=asked.collection,
        per_document=True,
    )
    try:
        return (await search.search(request)).hits
    except InvalidRecord:  # a store without an index of words
        return ()


def _stands(word: str, text: str) -> bool:
    """Whether it is a word of the text, and no part of one."""
    at = text.find(word)
    while at >= 0:
        beside = text[max(at - 1, 0) : at] + text[at + len(word) : at + len(word) + 1]
        if not any(character.isalnum() or character == "_" for character in beside):
            return True
        at = text.find(word, at + 1)
    return False


def _mentions(said: str, wanted: Iterable[Name]) -> bool:
    """One name is enough, and of it its first word with half of the others: "Halvorsen" stands for
    Halvorsen Energy. A single letter tells the name: Model Y."""
    for name in wanted:
        there = [_stands(word, said) for word in name]
        letters = all(there[n] for n, word in enumerate(name) if len(word) == 1)
        if there[0] and letters and 2 * sum(there) >= len(name):
            return True
    return False


def _said(hit: SearchHit) -> str:
    """The passage and what is known of its document, in lower case."""
    values = (value for value in hit.metadata.values() if isinstance(value, str | int | float))
    known = [str(value)[:TEXT_MAX] for value in values]
    return comparable(f"{hit.text}\n{hit.key.id}\n" + "\n".join(known)).text.lower()


def _stems(text: str) -> set[str]:
    words = (word for word in _WORD.findall(comparable(text).text.lower()) if len(word) > 1)
    return {word[:STEM] for word in significant(words)}


def _distinct(hits: Iterable[SearchHit]) -> list[SearchHit]:
    """Each text once: the same release often stands in several documents."""
    first: dict[str, SearchHit] = {}
    for hit in hits:
        first.setdefault(" ".join(hit.text.split()), hit)
    return list(first.values())
