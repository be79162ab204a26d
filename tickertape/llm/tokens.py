"""How many tokens a text has, where only the server can count them. Pure."""

from __future__ import annotations

import re

# Financial English has 3 to 4 ASCII characters a token, other scripts up to a token each.
ASCII_PER_TOKEN = 3.0
# No tokenizer packs more: long common words have 6 letters a token with their space, and of
# Chinese and Japanese 3 signs. Runs of one character (spaces, dots, lines) count once.
PER_TOKEN_MAX = 6.5
WIDE_PER_TOKEN_MAX = 3.0
# Less than this is no context of a server, but a count of something else (of what was not cached).
CONTEXT_TOKENS_MIN = 512

_RUN = re.compile(r"(.)\1+", re.DOTALL)
_SPACES = re.compile(r"\s+")
_WIDE = re.compile(r"[\u2e80-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


def estimate(text: str) -> int:
    """Estimate a text's tokens, rather too many than too few."""
    ascii_ = len(text.encode("ascii", "ignore"))
    return int(ascii_ / ASCII_PER_TOKEN) + len(text) - ascii_ + 1


def least(text: str) -> int:
    """Return how many tokens a text has at the least, whatever the tokenizer."""
    text = _RUN.sub(r"\1", _SPACES.sub(" ", text))
    wide = len(_WIDE.findall(text))
    return int((len(text) - wide) / PER_TOKEN_MAX + wide / WIDE_PER_TOKEN_MAX)


def was_cut(prompt: str, prompt_tokens: int) -> bool:
    """Tell whether a server that counted ``prompt_tokens`` cannot have read all of the prompt.

    Some (Ollama) leave out in silence what does not fit. 0 where the server does not count.
    """
    if prompt_tokens < CONTEXT_TOKENS_MIN or (
        prompt.isascii() and len(prompt) / PER_TOKEN_MAX <= prompt_tokens
    ):
        return False
    return prompt_tokens < least(prompt)
