"""What a sentence of a report is before it is read: prose, or a row, a heading, a form's own words.

A filing begins with a cover that is the same in all of them, ends with a page about forward-looking
statements, a list of exhibits and signatures, and has tables in between. Nothing of that is what
the document says. Pure; the rules are one table of words.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tickertape.chunking import Span
from tickertape.lines import BREAK, is_row, is_shouted, is_title

JUDGED_CHARACTERS = 600
HEADING_CHARACTERS = 120
HEADING_WORDS = 20
PART_WORDS = 4
INDENT_MAX = 40
SIGNED = "/s/"
NAMES_MAX = 50  # of segments


class Form(enum.Enum):
    """The form of a sentence."""

    PROSE = "prose"
    HEADING = "heading"
    ROW = "row"
    BOILERPLATE = "boilerplate"


@dataclass(frozen=True, slots=True)
class Place:
    """``named``: it names a segment that the text calls one. ``under``: it stands under the heading
    of a segment."""

    form: Form
    named: bool = False
    under: bool = False


@dataclass(frozen=True, slots=True)
class _Telltale:
    """A pattern that is tried only where one of these words stands: most sentences have none."""

    pattern: re.Pattern[str]
    needs: frozenset[str]

    def stands(self, sentence: str, words: frozenset[str]) -> bool:
        """Tell whether it is found in the sentence, whose words in lower case are ``words``."""
        return not self.needs.isdisjoint(words) and self.pattern.search(sentence) is not None


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


# The cover, the items that point elsewhere, the signatures
_COVER = _Telltale(
    re.compile(
        r"refer to page|check mark|check the appropriate box|emerging growth company"
        r"|exact name of (?:the )?registrant"
        r"|par value|principal executive offices|IRS employer|I\.R\.S\. employer|commission file"
        r"|state or other jurisdiction|\bregistrant\b|title of (?:each )?class|trading symbol"
        r"|exchange on which registered|\brule (?:405|425|12b-2|14a-12|14d-2|13e-4)|\bCFR\b"
        r"|C\.F\.R\.|section 1[2358]\(?[a-g]?\)? (?:or|of)|aggregate market value"
        r"|accelerated filer|shell company"
        r"|incorporated (?:herein )?by reference|incorporated herein"
        r"|attached (?:hereto )?as (?:an )?exhibit|(?:furnished|filed) (?:herewith|as exhibit)"
        r"|shall not be deemed|deemed [\"\u201c'\u2018]?filed|duly (?:authorized|caused)|hereunto"
        r"|\bInline XBRL\b|interactive data file|exhibit (?:no|index|\d)"
        r"|securities exchange act|securities and exchange commission|securities act of 1933"
        r"|all rights reserved|\(?unaudited\)?[.:]?\Z",
        re.IGNORECASE,
    ),
    frozenset(
        """
        page mark box emerging exact par executive irs r commission jurisdiction
        registrant class symbol registered rule cfr c section market filer shell
        incorporated exhibit herewith deemed duly hereunto xbrl interactive securities
        rights unaudited
        """.split()  # noqa: SIM905 -- readable as text
    ),
)
# What may come otherwise
_CAUTION = _Telltale(
    re.compile(
        r"forward[- ]looking|safe harbo[u]?r|private securities litigation"
        r"|undertakes? no (?:obligation|duty)|no obligation to (?:publicly )?update"
        r"|(?:disclaims?|assumes? no) any (?:obligation|intent)"
        r"|differ materially|risks? and uncertainties|risk factors|words such as|cautionary"
        r"|not (?:a )?guarantees? of future|undue reliance",
        re.IGNORECASE,
    ),
    frozenset(
        """
        forward safe litigation obligation duty disclaim disclaims assume assumes differ
        risk risks words cautionary guarantee guarantees reliance
        """.split()  # noqa: SIM905 -- readable as text
    ),
)
# Where to hear more, how it was reckoned: unless the sentence has a figure
_POINTER = _Telltale(
    re.compile(
        r"conference call|webcast|replay|dial(?:ing|-in)?\b|investor relations|press release"
        r"|for more information|(?:please )?visit (?:https?|www)|https?://|www\.|@\w{1,40}\.\w"
        r"|non-GAAP (?:financial )?measures?|(?:is|are) defined as|reconciliation of"
        r"|should (?:be )?read in conjunction|accompanying notes|supplemental information",
        re.IGNORECASE,
    ),
    frozenset(
        """
        conference webcast replay dial dialing investor press information visit http
        https www com gaap defined reconciliation read accompanying supplemental
        """.split()  # noqa: SIM905 -- readable as text
    ),
)
# Headings under which everything is such
_SECTION = re.compile(
    r"disclaimer|use of (?:certain )?non"
    r"|non-GAAP (?:financial )?(?:measures?|information|disclosures?)|definitions?\b|reconciliation"
    r"|conference call|webcast|earnings call|(?:related|upcoming) communications"
    r"|\Aabout\b|\bcontacts?\b|exhibits\b|exhibit (?:index|list)|signatures?\b|legal notice"
    r"|table of contents|index to|basis of presentation|important (?:information|notice)"
    r"|additional information",
    re.IGNORECASE,
)
_REPORTS = _words(r"reports?|announces?|results|quarter|raises|declares")
_ITEM = re.compile(
    r"(?:item|part|note|section|schedule|appendix)\s{1,3}[\dIVX]{1,4}", re.IGNORECASE
)
_HEADER_LINE = re.compile(r"[A-Z][A-Z /&'-]{2,40}:")  # of an SGML header: "COMPANY CONFORMED NAME:"
_PART_HEADING = _words(
    r"segments?|divisions?|divisional|business units?|regions?|geograph\w{1,6}|subsidiar\w{1,4}"
    r"|North America\w{0,2}|Latin America\w{0,2}|Europe\w{0,3}|Asia(?:[- ]Pacific)?|EMEA|APAC"
    r"|International|Americas|China|Japan|Germany|Canada"
)
# Under such a heading the short ones that follow are segments' names, until a general one
_PARTS_HEADING = _words(
    r"segments|divisions|divisional|segmental|geograph\w{1,6}"
    r"|by (?:segment|division|region|business)|(?:business|operating|operational) review"
    r"|review of operations"
)
_WHOLE_HEADING = _words(
    r"consolidated|total|company|group|overall|results|highlights|outlook|guidance|dividends?"
    r"|finance|financial|balance sheet|cash flows?|liquidity|capital|debt|tax|risks?|strategy"
    r"|summary|current|trading|prospects|item|part|notes?|statements?"
)
_NAMED_PART = re.compile(
    r"\b((?:[A-Z][\w-]{1,24}\s(?:(?:&|and)\s)?){1,4})"
    r"(?:segment|division|business unit|reporting unit)s?\b"
)
_ARTICLES = frozenset("The Our Its In This That Each Both Of For And Total Operating".split())  # noqa: SIM905
_VERBS = frozenset(
    """
    is are was were be been has have had will would may can could expect expects expected
    anticipates forecasts plans sees rose fell grew rises falls declined declines increased
    increases decreased decreases gained gains lost earned earns reported reports posted posts
    announced announces delivered delivers generated generates raised raises lowered lowers cut
    cuts reaffirmed reaffirms reiterated reiterates maintained maintains improved improves
    expanded expands reached reaches totaled totalled totals said says approved approves
    declared declares completed completes acquired acquires repurchased repurchases returned
    returns paid pays narrowed narrows widened widens jumped jumps dropped drops climbed climbs
    swung came stood amounted amounts reflected reflects included includes closed closes
    appointed appoints named names elected elects entered enters signed signs launched launches
    """.split()  # noqa: SIM905 -- readable as text
)
# Or nouns, or a month: they make no sentence of what has no end
_NOUNS = frozenset(
    """
    amounts plans gains cuts posts names sees falls rises increases decreases declines returns
    reports forecasts signs may can cut lowers closes
    """.split()  # noqa: SIM905 -- readable as text
)
_FOOTNOTE = re.compile(
    r"\*{1,3}\s?[A-Z]"
    r"|\(\w{1,2}\) (?:consists?|includes?|excludes?|represents?|reflects?|denominated|based on|see"
    r"|refer to|does not|amounts?)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]+")
_STOPPED = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"')\]\u201d\u2019\u300d*]{0,3}\Z")
_BULLETED = re.compile(r"[-*\u2022\u00b7\u25aa\u25cf\u25e6\u2013\u2014]\s")
_FIGURE = re.compile(
    r"[$\u20ac\u00a3\u00a5]\s?\(?\d|\d\s?%|\d (?:million|billion|percent|per cent)"
)
_WIDE = re.compile("[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]{4}")
_LETTER = re.compile(r"[^\W\d_]{2}")


def stopped(sentence: str) -> bool:
    """Tell whether it ends as a sentence does."""
    return _STOPPED.search(sentence[-8:]) is not None


def words_of(sentence: str) -> frozenset[str]:
    """Return the words of a sentence in lower case."""
    return frozenset(_WORD.findall(sentence.lower()))


def without_bullet(sentence: str) -> str:
    """Return a list item without its mark."""
    match = _BULLETED.match(sentence)
    return sentence[match.end() :].lstrip() if match else sentence


def places(text: str, spans: Sequence[Span]) -> list[Place]:
    """Return what each sentence of a text is, in order."""
    names = part_names(text)
    found: list[Place] = []
    section = caution = parts = under = False
    last = 0
    for start, end in spans:
        written = text[start : min(end, start + JUDGED_CHARACTERS)]
        sentence = " ".join(written.split())
        words = words_of(sentence)
        form = (
            Form.ROW
            if is_row(written)
            else _form(sentence, words, ends=stopped(text[max(start, end - 8) : end]))
        )
        if text.count("\n", last, start) > 1:  # a paragraph
            caution = False
        last = end
        if form is Form.HEADING and (heading := _heading(text, start, end)):
            section = _opens_boilerplate(heading, words_of(heading))
            caution = False
            parts = (parts or _PARTS_HEADING.search(heading) is not None) and not section
            if _WHOLE_HEADING.search(heading):
                parts = under = False
            else:
                short = len(heading.split()) <= PART_WORDS
                under = _is_part(heading, names) or (parts and short)
        elif form is Form.PROSE:
            figure = _FIGURE.search(sentence) is not None
            cautious = _CAUTION.stands(sentence, words)
            caution = cautious or (caution and not figure)
            if section or caution or (not figure and _POINTER.stands(sentence, words)):
                form = Form.BOILERPLATE
        named = names is not None and names.search(sentence) is not None
        found.append(Place(form, named, under))
    return found


def part_names(text: str) -> re.Pattern[str] | None:
    """Return what finds the names that a text gives to segments; None where it gives none."""
    names = set()
    for match in _NAMED_PART.finditer(text):
        words = match[1].split()
        while words and words[0] in _ARTICLES:
            del words[0]
        if words:
            names.add(" ".join(words))
        if len(names) >= NAMES_MAX:
            break
    if not names:
        return None
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})\b")


def _form(sentence: str, words: frozenset[str], *, ends: bool) -> Form:
    if _LETTER.search(sentence) is None:
        return Form.ROW
    if _COVER.stands(sentence, words) or _FOOTNOTE.match(sentence) or SIGNED in sentence:
        return Form.BOILERPLATE
    if _HEADER_LINE.match(sentence) and not ends:
        return Form.ROW
    count = len(sentence.split())
    if ends and _WIDE.search(sentence):  # no spaces to count words by
        return Form.PROSE
    if ends:
        verb = not _VERBS.isdisjoint(words)
        short = count <= HEADING_WORDS and not verb and not _FIGURE.search(sentence)
        item = _ITEM.match(sentence) is not None or is_title(sentence)
        return (
            Form.HEADING if short and (item or is_shouted(sentence) or count <= 4) else Form.PROSE
        )
    if _BULLETED.match(sentence) and _FIGURE.search(sentence) and count > 3:
        return Form.PROSE  # a release's highlights: "- Revenue of $312 million, down 11%"
    verb = not (_VERBS - _NOUNS).isdisjoint(words)
    heading = is_shouted(sentence) or is_title(sentence) or sentence.endswith((":", ")"))
    return Form.HEADING if heading or not verb or count <= 3 else Form.PROSE


def _heading(text: str, start: int, end: int) -> str | None:
    """The line that a heading begins, where it is one that a section may begin with: alone on its
    line, or an item's number with its title. Not an item of a list that is no sentence."""
    if _ITEM.match(text, start):
        stop = BREAK.search(text, end, start + HEADING_CHARACTERS)
        end = stop.start() if stop else end
    before = text[max(0, start - INDENT_MAX) : start].rstrip(" \t")
    after = text[end : end + INDENT_MAX].lstrip(" \t")
    alone = before[-1:] in ("", "\n", "\r") and after[:1] in ("", "\n", "\r")
    heading = text[start:end]
    if not alone or len(heading) > HEADING_CHARACTERS or _BULLETED.match(heading):
        return None
    return None if heading[0].islower() or heading.endswith((",", ";")) else heading


def _opens_boilerplate(heading: str, words: frozenset[str]) -> bool:
    if _CAUTION.stands(heading, words):
        return True
    return _SECTION.search(heading) is not None and not _REPORTS.search(heading)


def _is_part(heading: str, named: re.Pattern[str] | None) -> bool:
    return _PART_HEADING.search(heading) is not None or (
        named is not None and named.search(heading) is not None
    )
