"""The words of texts and of questions, as SQLite's FTS5 cuts and stems them, for other databases.

So a word is the same in every store: `tickertape.terms` says what one is, `unicode61` cuts it, and
`porter` takes its ending.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import apsw

from tickertape import terms
from tickertape.stores.prepare import plain
from tickertape.text import comparable

TERMS_MAX = 200

_local = threading.local()


def stems(text: str) -> list[str]:
    """Return the stems of a text that is written as an index is to hold it (`prepare.words`)."""
    return _tokens("porter", text, apsw.FTS5_TOKENIZE_DOCUMENT)


def read(text: str) -> list[str]:
    """Return the stems of a text as it stands: without the words that an index has beside it."""
    return stems(comparable(plain(text)).text)


def asked(text: str, *, once: bool = False) -> list[str]:
    """Return the stems of a question's words, each once, without stop words; ``once``: of a name in
    capitals the word alone."""
    words = _tokens("unicode61", terms.asked(plain(text)), apsw.FTS5_TOKENIZE_QUERY)
    found = terms.significant(words)[:TERMS_MAX]
    return list(dict.fromkeys(stems(" ".join(terms.once(found) if once else found))))


def _tokens(tokenizer: str, text: str, reason: int) -> list[str]:
    found: list[str] = _tokenizers()[tokenizer](
        text.encode(), reason, None, include_offsets=False, include_colocated=False
    )
    return found


def _tokenizers() -> dict[str, Any]:
    """A tokenizer belongs to a connection, and a connection to a thread."""
    made: dict[str, Any] | None = getattr(_local, "tokenizers", None)
    if made is None:
        _local.connection = apsw.Connection(":memory:")
        arguments: dict[str, Sequence[str]] = {"porter": ("unicode61",), "unicode61": ()}
        made = _local.tokenizers = {
            name: _local.connection.fts5_tokenizer(name, list(more))
            for name, more in arguments.items()
        }
    return made
