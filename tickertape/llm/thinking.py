"""A model's thinking aloud, taken out of its answer. Pure, linear in the text.

Thinking is never the answer: closed, cut before it ended, or begun in the prompt by the server's
template so that only its end is seen.
"""

from __future__ import annotations

import re

from tickertape.llm.servers.thinking import SPECIAL_TOKENS, THINKING, TURN_ENDS, WRAPPING

_MARK = re.compile(
    "|".join(f"(?P<o{i}>{row.open})|(?P<c{i}>{row.close})" for i, row in enumerate(THINKING)),
    re.IGNORECASE,
)


def without_thinking(text: str) -> tuple[str, bool]:
    """Return the answer, stripped, and whether there was thinking beside it.

    An empty answer where all was thinking.
    """
    kept: list[str] = []
    inside: int | None = None  # whose thinking this is
    start = 0
    thought = False
    for mark in _MARK.finditer(text):
        kind, row = (mark.lastgroup or "")[0], int((mark.lastgroup or "")[1:])
        if inside is not None:
            if kind == "c" and row == inside:
                inside, start = None, mark.end()
        elif kind == "o":
            kept.append(text[start : mark.start()])
            inside, thought = row, True
        elif THINKING[row].close_alone:
            # It began before the answer did: all so far was thinking.
            kept.clear()
            start, thought = mark.end(), True
    if inside is None:
        kept.append(text[start:])
    turns = (SPECIAL_TOKENS.sub("", turn).strip() for turn in TURN_ENDS.split("".join(kept)))
    answer = next(filter(None, turns), "")
    if wrapped := WRAPPING.match(answer):
        answer = wrapped[2].strip()
    return answer, thought
