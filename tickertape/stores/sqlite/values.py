"""How texts stand in the database, so that whatever a producer sends comes back unchanged.

Text is TEXT, with NUL characters in it. A lone surrogate has no UTF-8, so such a text is a BLOB of
its `surrogatepass` bytes: the same text always has the same form, and so compares equal.
"""

from __future__ import annotations

from typing import Any


def bind(text: str | None) -> str | bytes | None:
    """Return the text as it is bound to a statement."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def unbind(value: Any) -> Any:
    """Return the text that `bind` was given."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value
