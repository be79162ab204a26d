"""What every summariser keeps, and what the LLM's keeps whatever the server does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from testkit import models
from testkit.llm.bodies import FAULTS
from testkit.llm.double import LlmDouble
from tickertape import embed
from tickertape.embed.runner import Runner
from tickertape.errors import (
    OutageError,
    PermanentError,
    Rejected,
    Timeout,
    TransientError,
)
from tickertape.settings import Settings
from tickertape.summarize import SUMMARIZERS, open_summarizer
from tickertape.summarize.base import Summarizer, SummaryRequest
from tickertape.summarize.llm import LLMSummarizer

REPORT = (
    "Good morning and thank you all for joining us. Third-quarter revenue was $1.2 billion, up 8 "
    "percent. Our teams did well in every region. Adjusted earnings per share were $2.31, up from "
    "$2.02. We are proud of our people. We expect full-year earnings per share of $8.90 to $9.10."
)
KEY = "sk-hush-7f3a9"


def settings(double: LlmDouble, **more: object) -> Settings:
    return Settings(llm_url=double.url, llm_model=double.model, **more)  # type: ignore[arg-type]


def opened(double: LlmDouble, **more: object) -> Summarizer:
    return open_summarizer(settings(double, **more), None)  # type: ignore[arg-type]


@pytest.fixture
async def double() -> AsyncIterator[LlmDouble]:
    async with LlmDouble() as double:
        yield double


@pytest.fixture
async def llm(double: LlmDouble) -> AsyncIterator[Summarizer]:
    summarizer = opened(double)
    await summarizer.start()
    yield summarizer
    await summarizer.stop()


@pytest.fixture(params=sorted(SUMMARIZERS))
async def summarizer(
    request: pytest.FixtureRequest, double: LlmDouble
) -> AsyncIterator[Summarizer]:
    """Each provider, as the settings open it; the extractive one with the real model."""
    if request.param == "llm":
        summarizer = opened(double)
        await summarizer.start()
        yield summarizer
        await summarizer.stop()
        return
    models.ensure_model()
    own = models.model_settings(device="cpu")
    runner = Runner(embed.load(own), own.batch_tokens)
    await runner.start()
    summarizer = open_summarizer(own, runner)
    await summarizer.start()
    yield summarizer
    await summarizer.stop()
    await runner.stop()


# Every summariser


async def test_it_summarises(summarizer: Summarizer) -> None:
    summary = await summarizer.summarize(SummaryRequest("1", REPORT, {"company": "Acme"}))
    assert summary.text
    if summary.verbatim:
        assert [s for s in REPORT.split(". ") if s in summary.text] == summary.text.split(". ")
    assert summary.model_name == summarizer.name
    assert summary.unsupported == ()
    assert summary.total_tokens == summary.prompt_tokens + summary.completion_tokens


async def test_nothing_to_summarise_is_permanent(summarizer: Summarizer) -> None:
    with pytest.raises(PermanentError, match="text"):
        await summarizer.summarize(SummaryRequest("1", "  \n "))


async def test_it_answers_pings_starts_and_stops_twice(summarizer: Summarizer) -> None:
    await summarizer.start()
    await summarizer.ping()
    await summarizer.stop()
    await summarizer.stop()


async def test_many_at_once(summarizer: Summarizer) -> None:
    texts = [f"{REPORT} In year {year}, sales rose." for year in range(2001, 2021)]
    requests = [SummaryRequest(str(i), text) for i, text in enumerate(texts)]
    together = await asyncio.gather(*map(summarizer.summarize, requests))
    assert [s.text for s in together] == [(await summarizer.summarize(r)).text for r in requests]


async def test_odd_characters(summarizer: Summarizer) -> None:
    text = "A \ud800 surrogate and \x00 zero. Tabs\tand\u2028lines. \U0001f4c8 rose. So. Be. It."
    assert (await summarizer.summarize(SummaryRequest("1", text))).text


# The LLM's: what each answer of the server becomes


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((k, OutageError) for k in ("busy", "backlog", "scaling", "html_503", "rate_limited")),
        *((k, OutageError) for k in ("unauthorized", "forbidden", "no_model", "not_found")),
        *((k, TransientError) for k in ("engine_dead", "draining", "empty_500", "text_500")),
        *((k, TransientError) for k in ("html_502", "empty_504")),
        *((k, TransientError) for k in ("empty_200", "html_200", "garbage_200", "list_200")),
        *((k, TransientError) for k in ("no_choices", "abort", "no_finish")),
        *((k, TransientError) for k in ("empty_summary", "blank_summary", "null_content")),
        *((k, TransientError) for k in ("reset", "cut_body")),
        *((k, Rejected) for k in ("bad_json", "bad_grammar", "unprocessable", "content_filter")),
    ],
)
async def test_what_a_fault_becomes(
    llm: Summarizer, double: LlmDouble, kind: str, expected: type[Exception]
) -> None:
    double.control(faults=[{"kind": kind}])
    with pytest.raises(expected) as caught:
        await llm.summarize(SummaryRequest("1", REPORT))
    if not isinstance(caught.value, Rejected):
        assert getattr(caught.value, "dependency", None) == "llm" == llm.dependency
    assert (await llm.summarize(SummaryRequest("1", REPORT))).text  # and goes on


async def test_retry_after_is_read(llm: Summarizer, double: LlmDouble) -> None:
    double.control(faults=[{"kind": "rate_limited", "retry_after": 11}, {"kind": "busy"}])
    for expected in (11.0, None):
        with pytest.raises(OutageError) as caught:
            await llm.summarize(SummaryRequest("1", REPORT))
        assert caught.value.retry_after == expected


async def test_a_server_that_is_not_there_is_an_outage(llm: Summarizer, double: LlmDouble) -> None:
    await double.stop()
    for call in (llm.ping(), llm.summarize(SummaryRequest("1", REPORT))):
        with pytest.raises(OutageError, match="no connection to 127"):
            await call
    await double.start()
    await llm.ping()
    assert (await llm.summarize(SummaryRequest("1", REPORT))).text


async def test_a_server_that_drains(llm: Summarizer, double: LlmDouble) -> None:
    double.draining = True
    with pytest.raises(TransientError, match="after shutdown"):
        await llm.summarize(SummaryRequest("1", REPORT))


async def test_no_answer_in_time(double: LlmDouble) -> None:
    llm = opened(double, llm_timeout_seconds=2.0)
    await llm.ping()
    double.control(faults=[{"kind": "hold"}])
    with pytest.raises(Timeout, match="within 2 s"):
        await llm.summarize(SummaryRequest("1", REPORT))
    await double.until(1, "disconnected")  # the server is not left working
    await llm.stop()


async def test_cancelling_ends_the_request(llm: Summarizer, double: LlmDouble) -> None:
    double.control(faults=[{"kind": "hold"}])
    call = asyncio.ensure_future(llm.summarize(SummaryRequest("1", REPORT)))
    await double.until(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await double.until(1, "disconnected")
    assert (await llm.summarize(SummaryRequest("1", REPORT))).text


async def test_never_more_requests_than_allowed(double: LlmDouble) -> None:
    llm = opened(double, llm_concurrency=3)
    double.control(faults=[{"kind": "hold"}] * 9)
    requests = [SummaryRequest(str(i), REPORT) for i in range(9)]
    calls = asyncio.gather(*map(llm.summarize, requests))
    await double.until(3)
    await llm.ping()  # does not wait behind them
    assert len(double.requests) == 3
    double.release()
    await calls
    assert double.running_max == 3
    await llm.stop()


# The LLM's: what it is asked, and what comes back


async def test_the_request(llm: Summarizer, double: LlmDouble) -> None:
    summary = await llm.summarize(SummaryRequest("1", REPORT, {"title": "Q3", "x": "no"}))
    body = double.requests[0].body
    assert (body["model"], body["temperature"]) == ("double", 0)
    assert 0 < body["max_tokens"] <= 1024
    assert [m["role"] for m in body["messages"]] == ["user"]
    assert f"<document>\ntitle: Q3\n{REPORT}\n</document>" in double.requests[0].prompt
    assert summary.prompt_tokens > 50
    assert summary.completion_tokens > 0


async def test_numbers_that_the_document_does_not_have_are_named(
    llm: Summarizer, double: LlmDouble
) -> None:
    double.control(answer="In 2026 revenue was $1.3 billion, up 8%; EPS $2.31.")
    summary = await llm.summarize(SummaryRequest("1", REPORT, {"published": "2026-11-21"}))
    assert summary.unsupported == ("$1.3 billion",)


async def test_thinking_aloud_and_half_sentences_are_left_out(double: LlmDouble) -> None:
    thought = "<think>Hm. Let me see.</think>\n"
    double.control(answer=thought + "Revenue rose. " + "Earnings per share were $1.23 and " * 200)
    llm = opened(double)
    assert (await llm.summarize(SummaryRequest("1", REPORT))).text == "Revenue rose."
    await llm.stop()


# The LLM's: documents that do not fit

LONG = " ".join(f"In month {i}, revenue was ${i * 7} million and costs fell." for i in range(400))


@pytest.mark.parametrize("tells", [True, False], ids=["context told", "context learned"])
@pytest.mark.parametrize("context", [500, 1500])
async def test_a_long_document_is_read_in_parts_and_whole(context: int, tells: bool) -> None:
    async with LlmDouble(max_model_len=context, tells_models=tells) as double:
        llm = opened(double)
        summary = await llm.summarize(SummaryRequest("1", LONG))
        await llm.stop()
    assert summary.text
    answered = [seen for seen in double.requests if seen.outcome == "answered"]
    assert len(answered) > 5
    for i in range(400):  # every sentence was read
        assert any(f"In month {i}, revenue" in seen.prompt for seen in answered)
    assert summary.prompt_tokens > 400 * 10


async def test_one_endless_word_is_read_whole() -> None:
    async with LlmDouble(max_model_len=600) as double:
        llm = opened(double)
        word = "".join(f"{i}-" for i in range(1500))
        assert (await llm.summarize(SummaryRequest("1", word))).text
        await llm.stop()
    assert sum(seen.outcome == "answered" for seen in double.requests) > 5


async def test_one_part_that_fails_ends_the_others(double: LlmDouble) -> None:
    async with LlmDouble(max_model_len=500) as double:
        llm = opened(double, llm_concurrency=4)
        double.control(faults=[{"kind": "hold"}, {"kind": "hold"}, {"kind": "busy"}])
        with pytest.raises(OutageError):
            await llm.summarize(SummaryRequest("1", LONG))
        await double.until(2, "disconnected")
        await llm.stop()


async def test_a_context_too_small_for_the_prompt_holds_the_flow() -> None:
    for tells in (True, False):
        async with LlmDouble(max_model_len=100, tells_models=tells) as double:
            llm = opened(double)
            with pytest.raises(OutageError, match="100 tokens is too small"):
                await llm.summarize(SummaryRequest("1", LONG))
            await llm.stop()


async def test_a_server_that_finds_everything_too_long(double: LlmDouble) -> None:
    llm = opened(double)
    double.control(rates={"too_long_llama_cpp": 1.0})
    with pytest.raises(Rejected):
        await llm.summarize(SummaryRequest("1", LONG))
    await llm.stop()
    assert len(double.requests) < 2000


# Secrets


@pytest.mark.parametrize("kind", [*FAULTS, "reset", "cut_body", "refused"])
async def test_the_key_is_shown_nowhere(
    kind: str, caplog: pytest.LogCaptureFixture, double: LlmDouble
) -> None:
    caplog.set_level(logging.DEBUG)
    double.api_key = KEY
    llm = opened(double, llm_api_key=SecretStr(KEY))
    await llm.ping()
    double.control(faults=[{"kind": kind}] if kind != "refused" else [])
    if kind == "refused":
        await double.stop()
    shown = [repr(llm), repr(vars(llm))]
    summary = None
    try:
        summary = await llm.summarize(SummaryRequest("1", REPORT))
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            shown += [str(cause), repr(cause)]
            cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    await llm.stop()
    assert summary is None or "too_long" in kind or kind in ("max_tokens", "cut_json")
    assert [text for text in [*shown, caplog.text] if KEY in text] == []
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in double.requests)


def test_the_settings_choose() -> None:
    chosen = open_summarizer(Settings(llm_url="http://localhost:1/v1", llm_model="m"), None)  # type: ignore[arg-type,call-arg]
    assert isinstance(chosen, LLMSummarizer)
    assert (chosen.name, chosen.dependency) == ("m", "llm")
