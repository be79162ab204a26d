"""Extractive summaries: which sentences, and what holds whatever the text is."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickertape.chunking import sentences
from tickertape.documents import Vectors
from tickertape.embed.base import Tokens
from tickertape.embed.runner import Runner
from tickertape.errors import InvalidRecord
from tickertape.grounding import unsupported
from tickertape.summarize.base import SummaryRequest
from tickertape.summarize.extractive import ExtractiveSummarizer
from tickertape.summarize.pieces import pieces
from tickertape.summarize.salience import is_financial, judge
from tickertape.summarize.selection import PLAIN_CANDIDATES, SENTENCE_CHARACTERS_MAX


class WordVectors:
    """A deterministic model: a text's vector is the sum of its words', hashed."""

    name, precision, identity = "words", "fp32", "words@fp32"
    dimension, max_tokens, special_tokens = 64, 32, 2

    def __init__(self) -> None:
        self.longest = self.embedded = 0

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        return [Tokens([crc32(w.encode()) for w in t.lower().split()], []) for t in texts]

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        self.longest = max(self.longest, *map(len, sequences))
        self.embedded += len(sequences)
        vectors = np.full((len(sequences), self.dimension), 1e-3, np.float32)
        for row, ids in zip(vectors, sequences, strict=True):
            for token in ids:
                row[token % self.dimension] += 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def close(self) -> None:
        pass


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    runner = Runner(WordVectors(), 1024)
    await runner.start()
    yield runner
    await runner.stop()


async def summary_of(runner: Runner, text: str, count: int = 3, **metadata: object) -> str:
    summarizer = ExtractiveSummarizer(runner, count)
    result = await summarizer.summarize(SummaryRequest("1", text, metadata))
    assert result.verbatim
    assert result.model_name == summarizer.name == "extractive/words@fp32"
    return result.text


CALL = [
    "Good morning, and thank you for joining us today.",
    "With me are our chief executive and our chief financial officer.",
    "We are very proud of our team and of what it has done.",
    "Third-quarter revenue was $1.2 billion, up 8 percent from a year ago.",
    "Our people in the stores worked hard through the season.",
    "Adjusted earnings per share were $2.31, compared with $2.02 last year.",
    "Sales in the Europe segment were $90 million after charges related to restructuring.",
    "We now expect full-year earnings per share between $8.90 and $9.10.",
    "Operator, we are ready for questions.",
]


ABOUT_NOTHING = [
    "The crew was trained in Bergen at a cost of $0.2 million.",
    "A visit by the king cost $0.1 million.",
    "The ship was painted green.",
    "A garden was laid out behind the office.",
]


async def test_a_report_is_told_by_its_figures(runner: Runner) -> None:
    assert await summary_of(runner, " ".join(CALL)) == " ".join([CALL[3], CALL[5], CALL[7]])


async def test_another_text_is_told_by_its_middle_of_meaning(runner: Runner) -> None:
    text = [
        "The old harbour bridge will close for repairs in spring.",
        "A cat was seen.",
        "Repairs of the harbour bridge take the whole spring, the city said.",
        "Lunch costs little at the market nearby on most days of summer.",
        "While the bridge is closed for repairs, ferries cross the harbour.",
    ]
    assert await summary_of(runner, " ".join(text), 2) == f"{text[0]} {text[2]}"


async def test_whitespace_inside_a_sentence_is_left_as_it_is(runner: Runner) -> None:
    text = " ".join(CALL).replace("revenue was $1.2 billion", "revenue  was\u00a0$1.2\nbillion")
    summary = await summary_of(runner, text, 1, document_type="earnings call")
    assert summary in text


@pytest.mark.parametrize("text", ["Up.", "  One. Two. Three.\n", "No end", "...", "日本語。"])
async def test_a_short_text_is_its_own_summary(runner: Runner, text: str) -> None:
    assert await summary_of(runner, text) == text.strip()


async def test_nothing_to_summarise(runner: Runner) -> None:
    with pytest.raises(InvalidRecord, match="text: expected"):
        await summary_of(runner, " \n\t")


async def test_what_is_said_twice_is_not_chosen_twice(runner: Runner) -> None:
    said = "Earnings per share were $2.31 in the third quarter."
    text = " ".join([said, said.upper(), *CALL, said, said])
    assert (await summary_of(runner, text)).lower().count("$2.31 in the third quarter") == 1
    assert await summary_of(runner, "Same here. Same here. Same here. Same here.") == "Same here."


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        "7" * 300_000,
        "$1 " * 100_000,
        "word " * 60_000,
        "per share " * 30_000,
        "Revenue was $5 million.\n" * 12_000,
        " ".join(f"Revenue was ${i} million in quarter {i}." for i in range(8_000)),
        " ".join(f"This is what happened on day {i}." for i in range(8_000)),
    ],
    ids=["one word", "one number", "figures", "no ends", "no ends 2", "same", "report", "diary"],
)
async def test_a_huge_text_costs_a_bounded_number_of_embeddings(text: str) -> None:
    model = WordVectors()
    runner = Runner(model, 1024)
    await runner.start()
    try:
        summary = await summary_of(runner, text)
    finally:
        await runner.stop()
    assert 0 < len(summary) <= 3 * SENTENCE_CHARACTERS_MAX + 2
    assert model.embedded <= PLAIN_CANDIDATES
    assert model.longest <= model.max_tokens - model.special_tokens


async def test_a_summary_of_many_sentences(runner: Runner) -> None:
    text = [f"Earnings per share were ${i}.50 in quarter {i}." for i in range(120)]
    chosen = await ExtractiveSummarizer(runner, 50).select(SummaryRequest("1", " ".join(text)))
    assert len(chosen) == 50
    assert chosen == [s for s in text if s in chosen]


async def test_the_loop_stays_free_while_rules_run(runner: Runner) -> None:
    work = asyncio.ensure_future(summary_of(runner, " ".join(CALL) * 500))
    turns = 0
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10


@given(st.text(alphabet="ab1 $.\n\u00e9", max_size=400), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_each_sentence_is_verbatim_and_in_order(text: str, count: int) -> None:
    async def check() -> None:
        runner = Runner(WordVectors(), 256)
        await runner.start()
        try:
            if not text.strip():
                return
            chosen = await ExtractiveSummarizer(runner, count).select(SummaryRequest("1", text))
        finally:
            await runner.stop()
        at = 0
        for sentence in chosen:
            at = text.index(sentence, at) + len(sentence)
        assert 1 <= len(chosen) <= count
        assert unsupported(" ".join(chosen), [text]) == ()

    asyncio.run(check())


@given(st.text(max_size=600), st.integers(1, 50))
def test_pieces_are_bounded_and_lose_nothing_but_spaces(text: str, limit: int) -> None:
    spans = pieces(text, limit)
    assert all(0 < end - start <= limit for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert "".join("".join(text[a:b] for a, b in spans).split()) == "".join(text.split())
    if all(end - start <= limit for start, end in sentences(text)):
        assert spans == sentences(text)


def test_salience() -> None:
    ranked = sorted(CALL, key=lambda s: -judge(s).points)
    assert set(ranked[:3]) == {CALL[3], CALL[5], CALL[7]}
    assert not judge(CALL[0]).reports
    assert judge(CALL[5]).reports
    # The same said at great length counts less.
    assert judge(CALL[5]).points > judge(CALL[5] + " and so on" * 60).points


@pytest.mark.parametrize(
    "paid",
    [
        "The board declared a quarterly dividend of $0.25 per share, payable in the third quarter.",
        "A distribution of $0.40 per unit was paid in the third quarter.",
        "The book value per share was $14.20 at the end of the third quarter.",
        "It bought back 100,000 shares at an average price of $31.20 per share.",
        "The offering was priced at $18.00 per share in the third quarter.",
    ],
)
@pytest.mark.parametrize(
    "profit",
    [
        "Net income for the third quarter was $38 million.",
        "The net loss was $38 million in the third quarter of 2024.",
        "Operating profit of EUR 38m was reported for the third quarter.",
        "Earnings per share were $1.20.",
    ],
)
async def test_profit_comes_before_what_is_paid_for_a_share(
    runner: Runner, paid: str, profit: str
) -> None:
    assert judge(profit).points > judge(paid).points
    text = " ".join([paid, *ABOUT_NOTHING[:2], profit, *ABOUT_NOTHING[2:]])
    assert await summary_of(runner, text, 1, document_type="results") == profit


def test_what_is_financial() -> None:
    prose = [judge(s) for s in ["The bridge is closed.", "It cost $4 million."] * 50]
    assert is_financial([judge(s) for s in CALL], {})
    assert not is_financial(prose, {"document_type": "10-K"})
    one = [*prose, judge("Net income was $4 million.")]
    assert not is_financial(one, {})
    assert is_financial(one, {"document_type": "10-K"})
    assert not is_financial(one, {"document_type": ["news"]})


@pytest.mark.parametrize(
    "told",
    [
        ["Revenue was NOK 612m, compared with NOK 548m a year earlier.",
         "Earnings per share were NOK 1.92.",
         "The company expects revenue of NOK 2.4bn for 2024."],
        ["GAAP net loss per share was $(1.07), compared with $(0.22) in the prior-year quarter.",
         "Revenue was Rs 4,512 crore, up 8 per cent.",
         "The company expects third-quarter revenue of €84m to €88m."],
        ["Operating margin was (8.3)%, compared with (1.9)% in the second quarter.",
         "Net loss was £4.1bn, or 12 pence per share.",
         "Revenue rose by 612m to ¥12bn."],
    ],
)  # fmt: skip
async def test_figures_of_any_country_and_losses_are_figures(
    runner: Runner, told: list[str]
) -> None:
    text = [told[0], *ABOUT_NOTHING[:2], told[1], *ABOUT_NOTHING[2:], told[2]]
    assert await summary_of(runner, " ".join(text), document_type="results") == " ".join(told)


async def test_markup_is_read_as_a_reader_does(runner: Runner) -> None:
    said = [
        "Revenue was $52.3 million.",
        "Net income was $4.4 million.",
        "We expect $215 million of revenue.",
    ]
    text = "".join(f"<div>{s}</div>" for s in [*said, *ABOUT_NOTHING])
    assert await summary_of(runner, text, document_type="8-K") == " ".join(said)
    text = text.replace("Revenue was", "<b>Rev\u00adenue</b> of R&amp;D was")
    assert (await summary_of(runner, text, document_type="8-K")).startswith("Revenue of R&D was")


@pytest.mark.parametrize("column", [24, 40, 56, 72, 100])
async def test_a_wrapped_text_is_told_as_one_that_is_not(runner: Runner, column: int) -> None:
    text = " ".join([*CALL, *ABOUT_NOTHING])
    for end in ("\n", "\n\n", "\r\n\r\n", "\n\n\n"):
        summary = await summary_of(runner, textwrap.fill(text, column).replace("\n", end))
        assert " ".join(summary.split()) == await summary_of(runner, text)


async def test_rows_covers_and_cautions_are_not_told(runner: Runner) -> None:
    text = "\n".join(
        [
            "FORM 8-K",
            "Common Stock, par value $0.01 per share WIDG New York Stock Exchange",
            "Earnings Per Share Up to $2.31; Revenue of $1.2 Billion",
            *CALL[3:6],
            "Revenue $ 1,200.0 $ 1,110.0",
            "Diluted earnings per share $ 2.31 $ 2.02",
            "Europe Segment",
            "Revenue was $90 million, up 4 percent in the third quarter.",
            "Safe Harbor Statement",
            "Earnings per share of $8.90 to $9.10 for the full year are an estimate.",
        ]
    )
    assert await summary_of(runner, text, 2) == f"{CALL[3]} {CALL[5]}"


async def test_the_highlights_of_a_release_are_told(runner: Runner) -> None:
    text = "\n".join(
        [
            "Q3 HIGHLIGHTS",
            "\u2022 Revenue of $312 million, down 11%",
            "\u2022 Net loss of $(8.1) million, or $(0.22) per share",
            "\u2022 Store formats",
            "",
            '"We are disappointed," said Ann Lee. "We will do better."',
            "The board meets in May.",
        ]
    )
    assert (await summary_of(runner, text, 2)).split("\n") == [
        "Revenue of $312 million, down 11%",
        "Net loss of $(8.1) million, or $(0.22) per share",
    ]


async def test_what_has_no_end_does_not_run_into_the_next(runner: Runner) -> None:
    rows = [
        "- Revenue was $5 million in the quarter",
        "- Earnings per share were $2 in the quarter",
    ]
    text = "\n".join([*rows, *(f"- The garden has {n} trees" for n in ("nine", "ten", "some"))])
    summary = await summary_of(runner, text, 2, document_type="results")
    assert summary.split("\n") == [row.removeprefix("- ") for row in rows]
