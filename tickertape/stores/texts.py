"""Any text in a database whose texts take no NUL character and no lone surrogate.

What it does not take is written as U+001A and four hex digits, that character itself too: the same
text always has the same form, and so compares equal. Names of any length are looked up by a digest.
"""

from __future__ import annotations

import re
import uuid
from typing import overload

from tickertape.documents import digest

_REFUSED = re.compile("[\x00\x1a\ud800-\udfff]")
_WRITTEN = re.compile("\x1a([0-9a-f]{4})")


@overload
def plain(text: str) -> str: ...


@overload
def plain(text: None) -> None: ...


def plain(text: str | None) -> str | None:
    """Return the text as the database takes it."""
    if text is None or _REFUSED.search(text) is None:
        return text
    return _REFUSED.sub(lambda found: f"\x1a{ord(found[0]):04x}", text)


@overload
def restored(text: str) -> str: ...


@overload
def restored(text: None) -> None: ...


def restored(text: str | None) -> str | None:
    """Return the text that `plain` was given."""
    if text is None or "\x1a" not in text:
        return text
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), text)


def name(*parts: str) -> uuid.UUID:
    """Return the digest by which these texts, in this order, are looked up."""
    return uuid.UUID(bytes=digest(*(part.encode("utf-8", "surrogatepass") for part in parts)))
