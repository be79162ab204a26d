"""Words as the full text index gets them: a tsvector, and queries of one word each."""

from __future__ import annotations

import hashlib

from tickertape.stores import words

LEXEME_BYTES_MAX = 2000  # the server takes 2,046
BYTES_MAX = 900_000  # of a tsvector: the server takes a megabyte
POSITIONS_MAX = 255  # of a word, which the server keeps
POSITION_MAX = 16_383


def told(title: str, text: str) -> str:
    """Return a passage with its document's title as the text of a tsvector. The title's words have
    the weight A."""
    places: dict[str, list[str]] = {}
    weighed = [(word, "A") for word in words.stems(title)]
    weighed += [(word, "") for word in words.stems(text)]
    for place, (word, weight) in enumerate(weighed, 1):
        at = places.setdefault(word, [])
        if len(at) < POSITIONS_MAX:
            at.append(f"{min(place, POSITION_MAX)}{weight}")
    lexemes: list[str] = []
    size = 0
    for word, at in places.items():
        lexemes.append(f"{_quoted(word)}:{','.join(at)}")
        size += len(word.encode()) + 2 * len(at) + 8
        if size > BYTES_MAX:
            break
    return " ".join(lexemes)


def asked(text: str) -> list[str]:
    """Return a question's words, each as a tsquery."""
    return [_quoted(word) for word in words.asked(text)]


def _quoted(word: str) -> str:
    if len(data := word.encode()) > LEXEME_BYTES_MAX:
        word = hashlib.blake2b(data, digest_size=16).hexdigest()
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"
