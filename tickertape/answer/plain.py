"""An answer as plain text while it comes: nothing in it leads out, or is loaded by who shows it.

What a document says may make a model write a link that carries off what it read, or an image that
a chat window loads at once. So no address is passed on that no source has, nothing reads as
Markdown's link or as a tag, and a citation of a source that is not there says so: ``[7?]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LEFT_OUT = "(link left out)"
HELD_CHARACTERS_MAX = 2000

CITED = (  # [1], [1, 2], [source 1], and the marks that models of OpenAI have learnt
    r"[\[\u3010](?:sources?\s{0,3})?\d{1,2}(?:\s{0,3}[,;&]\s{0,3}\d{1,2}){0,20}"
    r"\??(?:\u2020[^\]\u3011]{0,40})?[\]\u3011]"
)
CITATION = re.compile(CITED, re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,20}:)?//[^\s<>\"')\]]+|\bwww\.[^\s<>\"')\]]+"
    r"|\b(?:https?|javascript|vbscript|data|file|mailto):[^\s<>\"')\]]+",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(?=[a-z/!?])", re.IGNORECASE)
_OPEN = re.compile(r"[\[\u3010][^\[\]\u3010\u3011]{0,90}\Z")
_END = re.compile(r"\s\S*\Z")


class Plain:
    """Takes an answer's pieces, and gives what may be passed on."""

    def __init__(self, texts: Sequence[str]) -> None:
        """``texts``: of the sources, by their numbers from 1."""
        self._texts = texts
        self._held = ""

    def take(self, piece: str) -> str:
        """Return what may be passed on now: whole words."""
        self._held += piece
        end = _END.search(self._held, max(0, len(self._held) - HELD_CHARACTERS_MAX))
        if end is None and len(self._held) < HELD_CHARACTERS_MAX:
            return ""
        if end is not None:
            cut = end.start()
        else:  # what begins a mark waits for its end: "]("
            cut = len(self._held) - self._held.endswith(("]", "\u3011", "<"))
        if opened := _OPEN.search(self._held, max(0, cut - 100), cut):
            cut = opened.start()
        ready, self._held = self._held[:cut], self._held[cut:]
        return self._plain(ready)

    def end(self) -> str:
        """Return the rest."""
        ready, self._held = self._held, ""
        return self._plain(ready)

    def _plain(self, text: str) -> str:
        # Citations first: they come to end in "]", whatever mark they were written with.
        text = _ADDRESS.sub(self._address, CITATION.sub(self._citation, text))
        return _TAG.sub("< ", text).replace("](", "] (").replace("]:", "] :")

    def _address(self, match: re.Match[str]) -> str:
        address = match[0].rstrip(".,;:!?")
        if any(address in text for text in self._texts):
            return match[0]
        return LEFT_OUT + match[0][len(address) :]

    def _citation(self, match: re.Match[str]) -> str:
        return "".join(
            f"[{number}]" if 1 <= number <= len(self._texts) else f"[{number}?]"
            for number in numbers_of(match)
        )


def quoted(passage: str) -> str:
    """Return a passage as an answer quotes it: what looks like a citation in it is none of ours.

    Not in round brackets: those are what a loss is written in.
    """
    return CITATION.sub(lambda match: f"{{{match[0][1:-1]}}}", passage)


def numbers_of(citation: re.Match[str]) -> list[int]:
    """Return the numbers of sources that a citation names."""
    return [int(digits) for digits in re.findall(r"\d+", citation[0].partition("\u2020")[0])]
