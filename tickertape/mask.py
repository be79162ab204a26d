"""Secrets out of anything that is shown, logged or exported.

Over-masking is the lesser evil: a payload is shown to people who look for what went wrong.
"""

from __future__ import annotations

import re
from typing import Any

MASK = "***"
_DEPTH_MAX = 100
_ANYWHERE = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials"}
)
_LAST = frozenset({"token", "authorization", "auth", "cookie", "apikey", "bearer", "pass"})
_BEFORE_KEY = frozenset({"api", "access", "private", "secret", "account", "shared", "signing"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_NAMES = (
    r"(?:password|passwd|passphrase|pwd|secret|credentials?|token|authorization"
    r"|(?:api|access|private|account|shared)[_\-]?key)"
)
# Each begins with what is fixed, and takes what it repeats for good (``++``): the work grows with
# the text and no faster. What a credential may be long is bounded, so that a long text can be
# looked at in windows.
_PATTERNS = (
    # scheme://user:password@host; the password may hold an @
    (
        re.compile(r"(?<=[a-z0-9+.\-])(://[^\s/:@?#]{0,1000}+:)[^\s/?#\"']{1,2000}(?=@)", re.I),
        rf"\1{MASK}",
    ),
    # https://token@host
    (re.compile(r"(https?://)[^\s/:@?#]{1,2000}+(?=@)", re.I), rf"\1{MASK}"),
    # name=value, as in a DSN, a query string or .env; a quote that is cut off too
    (
        re.compile(
            rf"({_NAMES}\s{{0,100}}+=\s{{0,100}}+)('[^']*+'?|\"[^\"]*+\"?|[^\s&;,'\"]++)", re.I
        ),
        rf"\1{MASK}",
    ),
    # "name": "value", as in JSON that could not be parsed
    (
        re.compile(
            rf"({_NAMES}[\"']\s{{0,100}}+:\s{{0,100}}+)\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?",
            re.I | re.S,
        ),
        rf'\1"{MASK}"',
    ),
    # An Authorization header; not "basic earnings"
    (
        re.compile(
            r"\b(bearer|basic)\s{1,100}+(?=[^\s0-9=]{0,1000}+[0-9=])[\w.~+/=\-]{16,}+", re.I
        ),
        rf"\1 {MASK}",
    ),
)
# A regular expression keeps the interpreter until it is through: a long text is looked at a
# window after the other, so that other threads get their turn.
_WINDOW = 2**16
_OVERLAP = 2**12  # more than any pattern needs to be sure of a match


def mask(payload: Any) -> Any:
    """Return the tree with the values of secret fields, and credentials in strings, masked.

    The payload is not changed. Fields are known by their words: ``db_password``, ``apiKey``,
    ``accessToken``; ``prompt_tokens`` is none.
    """
    return _mask(payload, _DEPTH_MAX)


def is_secret(name: str) -> bool:
    """Return whether a field of this name holds a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    key = words[-1] == "key" and bool(_BEFORE_KEY.intersection(words[:-1]))
    return key or words[-1] in _LAST or not _ANYWHERE.isdisjoint(words)


def mask_text(text: str) -> str:
    """Return the text with credentials in URLs, DSNs and quoted fields masked."""
    for pattern, replacement in _PATTERNS:
        text = _replaced(pattern, replacement, text)
    return text


def _replaced(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    if len(text) <= _WINDOW:
        return pattern.sub(replacement, text)
    kept, done, at = [], 0, 0
    while at < len(text):
        end = at + _WINDOW
        match = pattern.search(text, at, end)
        if match is None:
            at = end - _OVERLAP if end < len(text) else end
            continue
        if match.end() > end - _OVERLAP:  # it may be longer, or go on as something else
            match = pattern.match(text, match.start()) or match
        kept += [text[done : match.start()], match.expand(replacement)]
        done = at = match.end()
    return "".join([*kept, text[done:]])


def _mask(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict | list | tuple) and levels == 0:
        return MASK
    if isinstance(value, dict):
        return {
            key: MASK if is_secret(str(key)) and item not in (None, "") else _mask(item, levels - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mask(item, levels - 1) for item in value]
    return value
