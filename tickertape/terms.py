"""A text as words are looked up in it, by whatever store: what the keyword index and a question
have in common. Pure.

The index cuts at everything that is no letter or digit and knows no capitals, so what would be lost
there is written out: "AT&T" is a word of its own, "ON" in capitals another word
than "on", and Chinese, Japanese and Korean, which need no spaces, are pairs of characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tickertape.text import broken_words, comparable

# What is indexed in one form is never asked for in another: whoever changes what `indexed` gives
# adds a migration to `stores/sqlite/schema.py`, as tests/unit/test_terms.py reminds them.

# Letters to the index: private characters, which it takes for part of a word.
_AND = "\ue0a1"  # the "&" of AT&T
_NAME = "\ue0a2"  # after a word that is a name in capitals

# What carries no meaning in a question. Words of direction and order (up, down, before, after,
# over, from...) are not among them: "up 5 %", "before tax". Their removal costs .002 nDCG@10.
STOP_WORDS = frozenset(
    """
    a about again against all am an and any are as at be because been being both but by can could
    did do does doing each few for further had has have having he her here hers him his how i if in
    into is it its itself just me more most my no nor not now of off on once only or other our ours
    out own same she should so some such than that the their theirs them then there these they this
    those through to too until very was we were what when where which while who with whom why will
    would you your yours
    """.split()  # noqa: SIM905 -- readable as text
)
# What "don't" and "we'll" leave behind. (The "s" of "company's" tells a little: .0006 nDCG@10.)
_TAILS = frozenset("t d m ll re ve".split())  # noqa: SIM905

_CJK = (
    "\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
)
_CHARACTERS = re.compile(f"[{_CJK}]+")
# AT&T, S&P, R&D, Johnson&Johnson; with spaces only between capitals: J & J.
_JOINED = re.compile(r"\b(\w{1,20})&(\w{1,20})\b|\b([A-Z]{1,3}) & ([A-Z]{1,3})\b")
_CAPITALS = re.compile(
    rf"(?<![\w&'\u2019.$\-{_AND}])[A-Z]{{1,5}}(?![\w&'\u2019\-{_AND}]|\.\w)"
    r"|(?<=\$)[A-Za-z]{1,5}(?!\w)"
)
_SHOUTED = re.compile(r"[A-Z]{4,}")
_ACRONYMS = frozenset({"EBIT", "EBITDA", "GAAP", "CAPEX", "IFRS", "NASDAQ", "NYSE", "OTCQX"})
_PARTS = re.compile(r"[^\W_]{1,20}")
PIECES_FROM = 6  # letters of a joined word, from which its pieces are words too
_BESIDE = 24  # characters, in which the word beside another is looked for
_WORD_BEFORE = re.compile(r"(?<![^\W_])([^\W_]{1,24})\W{0,3}\Z")
_WORD_AFTER = re.compile(r"\W{0,3}([^\W_]{1,24})")
_LISTED = re.compile(  # $ON, NASDAQ: ON
    r"(?:\$|\b(?:NYSE|NASDAQ|Nasdaq|NasdaqGS|LSE|TSX|ASX|AMEX)(?:\s?[:|])\s?)\Z"
)


def indexed(text: str) -> str:
    """Return the text as an index of words is to hold it."""
    return _written(text, asked=False)


def asked(text: str) -> str:
    """Return a question as its words are to be looked up: any name in capitals may be a ticker."""
    return _written(text, asked=True)


def ticker(symbol: str) -> str:
    """Return a ticker as an index is to hold it, where it is known to be one."""
    parts = _PARTS.findall(comparable(symbol).text.rpartition(":")[2])
    names = {"".join(parts), *parts[:1]} if parts else ()  # BRK.B: BRKB and BRK
    return " ".join([indexed(symbol), *(f"{name}{_NAME}" for name in sorted(names))])


def significant(words: Iterable[str]) -> list[str]:
    """Return the words of a question that tell something, each once; all where none does."""
    found = list(dict.fromkeys(words))
    return [word for word in found if word not in STOP_WORDS and word not in _TAILS] or found


def _written(text: str, *, asked: bool) -> str:
    broken = [half for halves in broken_words(text) for half in halves]
    text = comparable(text).text
    if "&" in text:
        text = _JOINED.sub(_word, text)
    names = [f"{name}{_NAME}" for name in _names(text, asked=asked)]
    if not text.isascii():
        text = _CHARACTERS.sub(_pairs, text)
    more = [*broken, *names]
    return " ".join((text, *more)) if more else text


def _word(match: re.Match[str]) -> str:
    """AT&T as one word; Johnson&Johnson as one, and each of its pieces."""
    left, right = match[1] or match[3], match[2] or match[4]
    joined = f"{left}{_AND}{right}"
    return joined if len(left) + len(right) < PIECES_FROM else f"{left} {right} {joined}"


def _pairs(match: re.Match[str]) -> str:
    run = match[0]
    pairs = [run[at : at + 2] for at in range(len(run) - 1)] or [run]
    return f" {' '.join(pairs)} "


def _names(text: str, *, asked: bool) -> Iterator[str]:
    """The words in capitals that are names, or might be: never those of a line all in capitals."""
    for match in _CAPITALS.finditer(text):
        word = match[0]
        if _LISTED.search(text, max(0, match.start() - 12), match.start()):
            yield word
        elif word in ("A", "I") or not (asked or word.lower() in STOP_WORDS | _TAILS):
            continue
        elif not _is_shouted(text, match):
            yield word


def _is_shouted(text: str, match: re.Match[str]) -> bool:
    """Tell whether the words beside it are in capitals too, as in a heading."""
    before = _WORD_BEFORE.search(text, max(0, match.start() - _BESIDE), match.start())
    after = _WORD_AFTER.match(text, match.end(), match.end() + _BESIDE)
    for beside in (before, after):
        word = beside[1] if beside else ""
        stop = word.lower() in STOP_WORDS and len(word) > 1 and word.isupper()
        if stop or (_SHOUTED.fullmatch(word) and word not in _ACRONYMS):
            return True
    return False
