"""A text as words are looked up in it, by whatever store: what the keyword index and a question
have in common. Pure.

The index cuts at everything that is no letter or digit and knows no capitals, so what would be lost
there is written out: "AT&T" is a word of its own, "ON" in capitals another word
than "on", and Chinese, Japanese and Korean, which need no spaces, are pairs of characters. A figure
is one word however it is written ($4.2bn, 4,200 million; 8.0 %, 8 percent), a form's name too
(10-K, 10K), and so is an emoji.
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
_AMOUNT, _PERCENT, _EMOJI = "\ue0a3", "\ue0a4", "\ue0a5"  # before what says which

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
_SCALES = {
    "thousand": 3, "k": 3, "million": 6, "mn": 6, "mm": 6, "mln": 6, "m": 6, "billion": 9, "bn": 9,
    "b": 9, "bln": 9, "trillion": 12, "tn": 12, "trn": 12, "%": 0, "percent": 0, "per cent": 0,
    "pct": 0,
}  # fmt: skip
_PERCENTS = frozenset({"%", "percent", "per cent", "pct"})
_FIGURE = re.compile(
    r"(?<![\w.,])(?:(?:USD?|EUR|GBP|CHF|CAD|AUD)[ ]?)?[$\u20ac\u00a3]?"
    r"(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.(\d{1,6}))?[ \t\n\u00a0-]{0,2}"
    r"(%|(?:thousand|million|billion|trillion|mn|mm|mln|bn|bln|tn|trn|percent|per cent|pct|[kmb])"
    r"(?![^\W_]))",
    re.IGNORECASE,
)
# 10-K, 10 - Q, 8-K, S-1, 20-F: written with a hyphen, which parts them to the index
_FORM = re.compile(
    r"(?<![\w.,])(10|8|6|11|20|40|13|S|F|N|DEF)[ \t]{0,2}[-\u2010\u2011\u2013 ][ \t]{0,2}"
    r"(K|Q|F|D|G|1|3|4|8|14A|CSR)(?![\w-])"
)
_PICTURES = re.compile("[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
_NEVER_NAMES = frozenset({"A", "I", "AND", "OR", "NOT"})  # they begin and join sentences
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


def once(words: Iterable[str]) -> list[str]:
    """Return the words of a question without what is there twice: a name in capitals is a word of
    its own beside the word."""
    found = list(words)
    return [word for word in found if word.removesuffix(_NAME) == word or word[:-1] not in found]


def _written(text: str, *, asked: bool) -> str:
    broken = [half for halves in broken_words(text) for half in halves]
    text = comparable(text).text
    if "&" in text:
        text = _JOINED.sub(_word, text)
    names = [f"{name}{_NAME}" for name in _names(text, asked=asked)]
    figures = [figure for match in _FIGURE.finditer(text) if (figure := _figure(match))]
    figures += (f"{match[1]}{match[2]}" for match in _FORM.finditer(text))
    if asked and figures:  # the pieces would find what has one of them
        text = _FORM.sub(" ", _FIGURE.sub(lambda match: " " if _figure(match) else match[0], text))
    if not text.isascii():
        figures += (f"{_EMOJI}{ord(sign):x}" for sign in _PICTURES.findall(text))
        text = _CHARACTERS.sub(_pairs, text)
    more = [*broken, *names, *figures]
    return " ".join((text, *more)) if more else text


def _figure(match: re.Match[str]) -> str:
    """A figure that has a scale or is a percentage, as its value's digits and power of ten: 4.2bn
    and 4,200 million are 42e8. Empty where it is none."""
    unit, decimals = match[3].lower(), match[2] or ""
    digits = f"{match[1].replace(',', '')}{decimals}".lstrip("0")
    if unit == "k" and len(digits) < 3:  # 10K is a form
        return ""
    bare = digits.rstrip("0")
    power = _SCALES[unit] - len(decimals) + len(digits) - len(bare)
    said = f"{bare}e{power}" if bare else "0e0"
    return f"{_PERCENT if unit in _PERCENTS else _AMOUNT}{said.replace('-', 'n')}"


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
        elif word in _NEVER_NAMES or not (asked or word.lower() in STOP_WORDS | _TAILS):
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
