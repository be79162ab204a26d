"""What the words around a number say of it: a loss or a profit, a fall or a rise. Pure.

Told by the nearest word of its clause, from one table. What is not said is 0: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tickertape.quantities import Number
from tickertape.units import PERCENT

_BEFORE, _AFTER = 200, 40  # characters in which words are looked for
WORDS_AFTER = 2  # "$5 million net loss", "5% decline";
WORDS_NAMED = 4  # but "$0.55 earnings per share loss"
NEAR = 14  # characters between a word and the number that it governs: "a loss of about $5"

_SENTENCE = re.compile(
    r"(?<!\binc)(?<!\bcorp)(?<!\bltd)(?<!\bco)(?<!\bapprox)[.;!?](?=\s)|\n\s*\n", re.IGNORECASE
)
_CLAUSE = re.compile(r"[,:]\s|\b(?:while|whereas|but|and)\b", re.IGNORECASE)
# Of a clause that has no subject of its own: "a loss, $5", "Net loss, of which more below, was $5"
_NO_SUBJECT = re.compile(
    r"\W*(?:or|(?:excluding|including|before|adjusted for|without)\b[^,]*"
    r"|(?:was|were|is|of|at|totall?ed|amounted to|came (?:in at|to)|stood at|reached)?"
    r"(?:\s(?:about|approximately|nearly|some|only))?)\W*\Z",
    re.IGNORECASE,
)
_CLAUSE_AFTER = re.compile(
    r"[.,;:!?\n(]|\b(?:and|or|but|from|to|than|compared|versus|against|while|of|in|for|as)\b",
    re.IGNORECASE,
)
_BOTH = re.compile(r"\(\s?(?:loss(?:es)?|deficit|decrease|decline)\s?\)", re.IGNORECASE)
_SIGNED = re.compile(r"\b(?:minus|negative)\s{1,3}\Z", re.IGNORECASE)
_LATER_SUBJECT = re.compile(r"(?:net|operating|pre-?tax|quarterly|annual)\s", re.IGNORECASE)


def _pair(minus: str, plus: str, unless: str = "") -> re.Pattern[str]:
    return re.compile(
        rf"\b(?:(?P<minus>{''.join(minus.split())})|(?P<plus>{''.join(plus.split())}))\b{unless}",
        re.IGNORECASE,
    )


_LEVEL = _pair(
    minus=r"""loss(?:es)?(?!\s(?:ratio|rate|reserve|provision|carry))|loss-?making|lost|losing|loses
        |deficits?|shortfalls?|negative|outflows?|net\sdebt|in(?:to)?\sthe\sred|unprofitable
        |cash\s(?:was\s)?(?:used|spent)|used\s(?:in|by)|(?:operations|activities|business|company)\sused|cash\sburn|burn(?:ed|t)""",
    plus=r"""profits?|profitable|profitability|income(?!\stax)|earn(?:ed|s|ings?)|gains?|gained
        |surplus(?:es)?|positive|inflows?|provided\sby|generat(?:ed|es|ing)
        |net\scash(?=\s(?:position|balance|was|of))|in(?:to)?\sthe\sblack""",
    unless=r"(?!\s?\()",
)
# What may be either, and is a profit where it is written without a sign
_EITHER = re.compile(
    r"\b(?:result(?!\sof)|EBIT|EBITA|EBITDA|EPS|cash\sflows?|margins?)\b(?!\s?\()", re.IGNORECASE
)
_DIRECTION = _pair(
    minus=r"""down(?!\spayment)|fell|falls?|fallen|decreas(?:e|es|ed|ing)|declin(?:e|es|ed)
        |dropp?(?:s|ed|ing)?|lower(?!\s(?!than|by|at|year|to\b)[a-z])|lower(?:ed|s|ing)
        |shrank|shr[iu]nk(?:ing)?|reduc(?:e|es|ed|tions?)|slid|slides?|slipp?(?:s|ed)?
        |contract(?:ed|ion)|cuts?|cutting|slash(?:ed|es|ing)?|trimm?(?:ed|s|ing)?
        |slump(?:ed|s)?|plung(?:ed|es?)|plummet(?:ed|s)?|tumbl(?:ed|es?)|sank|sinks?|sunk
        |dipp?(?:ed|s)?|halv(?:ed|es|ing)|weaken(?:ed|s)?|retreat(?:ed|s)?|collaps(?:ed|es?)
        |downgrad(?:ed|es?)|eased|eases|softened|softens""",
    plus=r"""(?<!made\s)(?<!make\s)(?<!-)up(?!\sto\b|-)|rose|risen|rises?|increas(?:e|es|ed|ing)
        |grew|grows?|grown|growth|higher(?!\s(?!than|by|at|year|to\b)[a-z])|climb(?:s|ed)?
        |jump(?:s|ed)?|expand(?:s|ed)?|expansion|advanc(?:ed|es?)|surg(?:ed|es?)
        |rais(?:e|es|ed|ing)|lift(?:s|ed|ing)?|boost(?:s|ed|ing)?|soar(?:s|ed)?
        |doubl(?:ed|es|ing)|tripl(?:ed|es|ing)|rebound(?:s|ed)?|hik(?:ed|es?)|strengthen(?:s|ed)?
        |upgrad(?:ed|es?)|plus""",
)
# Of a percentage, these are a fall and a rise too.
_MOVE = _pair(
    minus=r"lost|loses?|losing|loss|shed|sheds|gave\sup|narrow(?:ed|s|ing)?",
    plus=r"gain(?:s|ed|ing)?|added|adds|put\son|widen(?:ed|s|ing)?",
)
# What is spent is written in brackets by custom: that says no more than the word.
_SPENT = re.compile(
    r"\b(?:expens(?:e|es)|costs?|capex|capital\sexpenditures?|charges?|tax(?:es)?|interest"
    r"|depreciation|amorti[sz]ation|impairments?|write-?downs?|purchases?|payments?|dividends?"
    r"|repurchases?)\b",
    re.IGNORECASE,
)
_EXPECTED = _pair(
    minus=r"miss(?:es|ed|ing)?|below|short\sof|underperform(?:s|ed)?",
    plus=r"beats?|beating|exceed(?:s|ed|ing)?|above|topp(?:ed|ing)|ahead\sof|outperform(?:s|ed)?"
    r"|surpass(?:es|ed)?",
)


@dataclass(frozen=True, slots=True)
class Told:
    """What is said about a number: -1, 0 (nothing) or 1 each.

    ``sign``: as written. ``level``: a loss, a profit; ``either``: 1 for what may be both.
    ``direction``: a fall, a rise. ``expected``: less, more than expected.
    """

    sign: int
    level: int
    either: int
    direction: int
    expected: int
    percent: bool


_YEAR = re.compile(r"(?:19|20)\d\d")
_NAMED = re.compile(
    r"\b(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]{0,6}\.?\s\Z|[^\W\d_]-\Z",
    re.IGNORECASE,
)  # a date's day, COVID-19
_NOTHING = Told(1, 0, 0, 0, 0, percent=False)


def told(number: Number, text: str) -> Told:
    """Return what the text says of a number that stands in it."""
    if number.unit is None and (
        _YEAR.fullmatch(number.text)
        or _NAMED.search(text[max(0, number.start - 12) : number.start])
    ):
        return _NOTHING
    sentence = text[max(0, number.start - _BEFORE) : number.start]
    ends = [match.end() for match in _SENTENCE.finditer(sentence)]
    sentence = sentence[ends[-1] :] if ends else sentence
    clause, alone = _clause(sentence)
    both = _BOTH.search(clause) is not None
    sign = -1 if (number.sign == 0 and both) or _SIGNED.search(clause) else number.sign
    sentence, clause = _BOTH.sub(" ", sentence), _BOTH.sub(" ", _SIGNED.sub("", clause))
    after = text[number.end : number.end + _AFTER]
    stop = _CLAUSE_AFTER.search(after)
    behind = (after[: stop.start()] if stop else after).split()
    after, named = (" ".join(behind[:count]) for count in (WORDS_AFTER, WORDS_NAMED))
    percent = number.unit == PERCENT
    if sign < 0 and "(" in number.text and _SPENT.search(clause):
        told_otherwise = (_LEVEL, _EITHER, _DIRECTION)
        sign = sign if any(pattern.search(clause) for pattern in told_otherwise) else 0
    level = _said(_LEVEL, clause, after)
    if level > 0 and _LEVEL.match(named):
        level = _sign([*_LEVEL.finditer(named)][-1])
    if not level and alone and not percent:
        found = {_sign(match) for match in _LEVEL.finditer(sentence)}
        level = found.pop() if len(found) == 1 else 0
    either = 1 if sign > 0 and _EITHER.search(f"{clause} {after}") else 0
    direction = _said(_DIRECTION, clause, after)
    if percent and not direction:
        direction = _said(_MOVE, clause, after) or _explicit(number, text)
    if sign < 0:  # "income of $(5)", "growth of (5)%"
        level, direction, either = -1, -abs(direction), 0
    expected = _said(_EXPECTED, clause, after.partition(" ")[0])
    return Told(sign, level, either, direction, expected, percent)


def agree(claim: Told, fact: Told) -> int:
    """Tell whether both say the same: 1 where they do, -1 where they say the opposite, 0 where
    one of them says nothing."""
    compared = (
        (claim.level or claim.either) * (fact.level or fact.either),
        claim.direction * fact.direction,
        claim.expected * fact.expected,
        *_across(claim, fact),
    )
    claimed, negative = (min(each.sign, each.level, each.direction) < 0 for each in (claim, fact))
    if min(compared) < 0:
        return -1
    if (fact.sign < 0 and not claimed and claim.sign) or (
        claim.sign < 0 and not negative and fact.sign
    ):
        return -1
    return 1 if claim == fact or max(compared) > 0 else 0


def _across(claim: Told, fact: Told) -> Iterator[int]:
    """Where one says of a percentage that it is a loss, and the other only that it is a rise."""
    if claim.percent:
        for one, other in ((claim, fact), (fact, claim)):
            if not one.direction and not other.level:
                yield one.level * other.direction


def _clause(sentence: str) -> tuple[str, bool]:
    """The part of a sentence that tells of the number behind it, and whether it has no subject."""
    ends = [0, *(match.end() for match in _CLAUSE.finditer(sentence))]
    clause = sentence[ends[-1] :]
    alone = len(ends) > 1 and _NO_SUBJECT.match(clause) is not None
    if alone and not clause.strip().isalpha() and len(ends) > 1:
        clause = sentence[ends[-2] :]
    return clause, alone


def _said(pattern: re.Pattern[str], before: str, after: str) -> int:
    """What the word says that governs: the last one before the number if near, else one that
    follows at once ("a $5 loss"), else the last one before, else the first one after."""
    last = next(reversed([*pattern.finditer(before)]), None)
    if last and len(before) - last.end() <= NEAR:
        return _sign(last)
    start = skipped.end() if (skipped := _LATER_SUBJECT.match(after)) else 0
    found = pattern.match(after, start) or last or pattern.search(after)
    return _sign(found) if found else 0


def _sign(match: re.Match[str]) -> int:
    return -1 if match["minus"] else 1


def _explicit(number: Number, text: str) -> int:
    """Of "-5%" and "+5%"."""
    if number.sign < 0:
        return -1
    return 1 if text[max(0, number.start - 1) : number.start] == "+" else 0
