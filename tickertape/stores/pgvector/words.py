"""Words as the full text index gets them: a tsvector, and queries of one word each."""

from __future__ import annotations

import hashlib

from tickertape.stores import words

LEXEME_BYTES_MAX = 2000  # the server takes 2,046
BYTES_MAX = 900_000  # of a tsvector: the server takes a megabyte
POSITIONS_MAX = 255  # of a word, which the server keeps
POSITION_MAX = 16_383


def told(title: str, text: str) -> tuple[str, int]:
    """Return a passage with its document's title as the text of a tsvector, and how many words both
    have. A word in the title counts for two."""
    of_title, of_text = words.stems(title), words.stems(text)
    places: dict[str, list[str]] = {}
    for place, word in enumerate([*of_title, *of_title, *of_text], 1):
        at = places.setdefault(word, [])
        if len(at) < POSITIONS_MAX:
            at.append(str(min(place, POSITION_MAX)))
    lexemes: list[str] = []
    size = 0
    for word, at in places.items():
        lexemes.append(f"{_quoted(word)}:{','.join(at)}")
        size += len(word.encode()) + 2 * len(at) + 8
        if size > BYTES_MAX:
            break
    return " ".join(lexemes), len(of_title) + len(of_text)


def asked(text: str) -> list[str]:
    """Return a question's words, each as a tsquery."""
    return [_quoted(word) for word in words.asked(text)]


def _quoted(word: str) -> str:
    if len(data := word.encode()) > LEXEME_BYTES_MAX:
        word = hashlib.blake2b(data, digest_size=16).hexdigest()
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"
