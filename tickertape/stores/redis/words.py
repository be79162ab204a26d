"""Words as the index of words gets them: one token each, which is never syntax."""

from __future__ import annotations

import hashlib

from tickertape.stores import words

PLAIN_MAX = 32  # longer words, and those with other letters than a to z, are digests


def told(title: str, text: str) -> str:
    """Return the tokens of a passage with its document's title. A word in the title counts for
    two."""
    of_title = words.stems(title)
    return " ".join(map(_token, (*of_title, *of_title, *words.stems(text))))


def asked(text: str, *, once: bool = False) -> list[str]:
    """Return the tokens of a question's words, each once; ``once`` as `words.asked` has it."""
    return list(map(_token, words.asked(text, once=once)))


def _token(word: str) -> str:
    if len(word) <= PLAIN_MAX and word.isascii() and word.isalnum():
        return f"w{word}"  # no number, no keyword
    return f"x{hashlib.blake2b(word.encode(), digest_size=12).hexdigest()}"
