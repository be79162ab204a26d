"""A model's thinking aloud, taken out of its answer. Pure, linear in the text.

Thinking is never the answer: closed, cut before it ended, or begun in the prompt by the server's
template so that only its end is seen. `Spoken` says what may be shown while it comes.
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
    outside, thought, _ = _outside(text)
    return _answer(outside), thought


def opens_unseen(text: str) -> bool:
    """Tell whether an answer's thinking has an end and no beginning, which was in the prompt."""
    mark = _MARK.search(text)
    return mark is not None and (mark.lastgroup or "")[0] == "c" and _closes_alone(mark)


def _closes_alone(mark: re.Match[str]) -> bool:
    return THINKING[int((mark.lastgroup or "")[1:])].close_alone


def _outside(text: str) -> tuple[str, bool, bool]:
    """Return what is no thinking, whether there was any, and whether it has not ended."""
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
    return "".join(kept), thought, inside is not None


def _answer(outside: str) -> str:
    """Return the first turn of what is no thinking, without what is around it."""
    turns = (SPECIAL_TOKENS.sub("", turn).strip() for turn in TURN_ENDS.split(outside))
    answer = next(filter(None, turns), "")
    if wrapped := WRAPPING.match(answer):
        answer = wrapped[2].strip()
    return answer


def _beginnings(word: str) -> str:
    return "|".join(re.escape(word[:count]) for count in range(len(word), 0, -1))


_CLOSE = re.compile("|".join(row.close for row in THINKING), re.IGNORECASE)
_MARK_CHARACTERS_MAX = 256
# A mark, a special token or a wrapping that may have begun and has not come whole
_BEGUN = re.compile(
    r"(?:(?:<|&lt;)(?:[|\uff5c]channel(?:\|?>[^<]{0,120}(?:<[^<>]{0,12})?)?|[\s/a-z|\uff5c][^<>&]{0,230}|)"
    rf"|{_beginnings('&lt;')}|{_beginnings('[THINK]')}|{_beginnings('[/THINK]')}|\u25c1[^\u25b7]{{0,8}}"
    rf"|{_beginnings('assistantfinal')}|\bHere\W.{{0,30}}|\b(?:{_beginnings('Here')})"
    r"|\A\s{0,9}a\w{0,7})\Z",
    re.IGNORECASE,
)
_MAYBE = re.compile(r"[<\u25c1]|&lt;|\[/?T|Here|assistantfinal|\A\s{0,9}analysis", re.IGNORECASE)


class Spoken:
    """What may be shown of an answer while it comes: never its thinking.

    ``unseen``: thinking may have begun before the answer, in the prompt, so that only its end is
    seen. Nothing is shown then before that end, or the answer's, is there.
    """

    def __init__(self, *, unseen: bool) -> None:
        self.text = ""  # all that came
        self._unseen = unseen
        self._from = 0  # of the text: before it there is nothing but thinking
        self._looked = 0
        self._inside = False
        self._shown = ""

    def take(self, piece: str) -> str:
        """Take the next piece; return what may be shown now.

        Raises:
            ValueError: what was shown already was thinking.
        """
        self.text += piece
        held = _BEGUN.search(self.text, max(self._from, len(self.text) - _MARK_CHARACTERS_MAX))
        end = held.start() if held else len(self.text)
        if end <= self._looked:
            return ""
        seen = max(self._from, self._looked - _MARK_CHARACTERS_MAX)
        self._looked = end
        if self._inside and not _CLOSE.search(self.text, seen, end):
            return ""
        return self._more(self.text[self._from : end], last=False)

    def end(self) -> str:
        """Return what is left to be shown: with what was shown, `without_thinking` of the whole.

        Raises:
            ValueError: what was shown already was thinking.
        """
        return self._more(self.text, last=True)

    def _more(self, text: str, *, last: bool) -> str:
        outside, thought = text, False
        answer = text.strip()
        if _MAYBE.search(text):  # by far most answers are not looked through at each piece
            outside, thought, self._inside = _outside(text)
            answer = _answer(outside)
        self._unseen &= not thought
        if thought and not self._inside and not outside.strip() and not last:
            self._from = self._looked
        if self._unseen and not last:
            return ""
        if not answer.startswith(self._shown):
            raise ValueError("what was shown was thinking")
        more = answer[len(self._shown) :]
        self._shown = answer
        return more
