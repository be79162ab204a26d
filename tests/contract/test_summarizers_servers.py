"""Summaries by servers that are not vLLM: what each says, from the wire to the summary."""

from __future__ import annotations

import json

import pytest

from testkit.llm.bodies import Answer, completion, usage
from testkit.llm.double import LlmDouble
from tickertape.errors import OutageError, TransientError
from tickertape.llm.servers.too_long import TOO_LONG, TooLong
from tickertape.settings import Settings
from tickertape.summarize import open_summarizer
from tickertape.summarize.base import Summarizer, SummaryRequest

REPORT = "Third-quarter revenue was $1.2 billion, up 8 percent. It has 400 staff."
LONG = " ".join(f"In month {i}, revenue was ${i * 7} million and costs fell." for i in range(300))
UNTOLD = [row for row in TOO_LONG if row.tells is None]
WHOLE = "Revenue was $1.2 billion."


def opened(double: LlmDouble) -> Summarizer:
    settings = Settings(llm_url=double.url, llm_model=double.model)  # type: ignore[call-arg]
    return open_summarizer(settings, None)  # type: ignore[arg-type]


def read_whole(double: LlmDouble) -> bool:
    answered = [seen.prompt for seen in double.requests if seen.outcome == "answered"]
    return all(any(f"In month {i}, revenue" in prompt for prompt in answered) for i in range(300))


@pytest.mark.parametrize(
    "row", [row for row in TOO_LONG if row.tells is None], ids=lambda r: r.server
)
@pytest.mark.parametrize("status", [400, 500])
async def test_a_document_is_read_in_parts_whoever_says_too_long(row: TooLong, status: int) -> None:
    refusal = Answer(status, json.dumps({"error": {"message": row.example}}))
    async with LlmDouble(max_model_len=1000, tells_models=False, too_long=refusal) as double:
        llm = opened(double)
        assert (await llm.summarize(SummaryRequest("1", LONG))).text
        await llm.stop()
        assert read_whole(double)


async def test_llama_cpp_tells_its_context() -> None:
    error = {"code": 400, "message": "no", "type": "exceed_context_size_error", "n_ctx": 1000}
    refusal = Answer(400, json.dumps({"error": error | {"n_prompt_tokens": 5000}}))
    async with LlmDouble(max_model_len=1000, tells_models=False, too_long=refusal) as double:
        llm = opened(double)
        assert (await llm.summarize(SummaryRequest("1", LONG))).text
        await llm.stop()
        assert read_whole(double)
        # It was told once: no part was tried that could not fit.
        assert sum(seen.outcome == "400" for seen in double.requests) == 1


@pytest.mark.parametrize("tells", [True, False], ids=["a context that is not so", "no context"])
async def test_a_prompt_that_is_cut_in_silence_is_read_in_parts(tells: bool) -> None:
    async with LlmDouble(max_model_len=700, tells_models=False, too_long="silently") as double:
        if tells:  # a gateway says what the model could have
            double.tells_models, double.entry = True, {"max_model_len": 131_072}
        llm = opened(double)
        assert (await llm.summarize(SummaryRequest("1", LONG))).text
        # Every part was read whole: the first request alone was over the context.
        assert [s.prompt for s in double.requests if len(s.prompt) / 3 > 700] == [
            double.requests[0].prompt
        ]
        assert read_whole(double)
        seen = len(double.requests)
        await llm.ping()
        await llm.summarize(SummaryRequest("2", LONG))  # known by now
        assert all(len(s.prompt) / 3 <= 700 for s in double.requests[seen:])
        await llm.stop()


@pytest.mark.parametrize("code", [429, "429", 503])
async def test_an_error_of_a_gateway_under_200(code: object) -> None:
    async with LlmDouble() as double:
        llm = opened(double)
        double.content = {"choices": [], "error": {"message": "free-models-per-min", "code": code}}
        with pytest.raises(OutageError, match="free-models-per-min"):
            await llm.summarize(SummaryRequest("1", REPORT))
        double.content = {}
        assert (await llm.summarize(SummaryRequest("1", REPORT))).text
        await llm.stop()


@pytest.mark.parametrize("reason", ["eos", "eos_token", "", None, "stop_sequence", "COMPLETE"])
async def test_a_good_answer_with_another_finish_reason(reason: str | None) -> None:
    async with LlmDouble() as double:
        llm = opened(double)
        double.content = completion(WHOLE, reason, 900, 40)
        assert (await llm.summarize(SummaryRequest("1", REPORT))).text == WHOLE
        await llm.stop()


@pytest.mark.parametrize("reason", ["", None, "new"])
async def test_a_good_answer_without_a_full_stop_and_without_a_reason(reason: str | None) -> None:
    async with LlmDouble() as double:
        llm = opened(double)
        double.content = completion("Revenue up to $4.2 billion", reason, 900, 40)
        assert (
            await llm.summarize(SummaryRequest("1", REPORT))
        ).text == "Revenue up to $4.2 billion"
        await llm.stop()


@pytest.mark.parametrize(
    "text",
    [
        f"<think>Maybe $9.9 billion?</think>\n\n{WHOLE}",
        f"Maybe $9.9 billion? No.\n</think>\n\n{WHOLE}",
        f"[THINK]Maybe $9.9 billion?[/THINK]{WHOLE}",
        f"<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{WHOLE}",
    ],
)
async def test_thinking_is_not_the_summary(text: str) -> None:
    async with LlmDouble() as double:
        llm = opened(double)
        double.content = completion(text, "stop", 900, 40)
        assert (await llm.summarize(SummaryRequest("1", REPORT))).text == WHOLE
        await llm.stop()


async def test_a_model_that_thinks_gets_room_for_it() -> None:
    async with LlmDouble() as double:
        llm = opened(double)
        double.answer = "<think>" + "Hm. " * 1000 + f"</think> {WHOLE}"
        for _ in range(2):
            assert (await llm.summarize(SummaryRequest("1", REPORT))).text == WHOLE
        await llm.stop()
        asked = [seen.body["max_tokens"] for seen in double.requests]
        assert len(asked) == 3  # learnt at the first
        assert asked[1] == asked[2] == asked[0] + 4096


async def test_a_model_that_only_thinks_is_an_error_that_says_what_to_do() -> None:
    async with LlmDouble() as double:
        llm = opened(double)
        double.content = completion("<think>Okay, so I need to", "length", 900, 0)
        double.content["usage"] = usage(900, 0)
        with pytest.raises(TransientError, match="turn its thinking off"):
            await llm.summarize(SummaryRequest("1", REPORT))
        assert len(double.requests) == 2
        message = {"role": "assistant", "content": "", "reasoning": "The revenue was $1."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        double.content = {"choices": [choice]}
        with pytest.raises(TransientError, match="turn its thinking off"):
            await llm.summarize(SummaryRequest("1", REPORT))
        await llm.stop()


@pytest.mark.parametrize("tells", [True, False])
async def test_a_model_that_thinks_in_a_small_context_is_not_asked_for_more(tells: bool) -> None:
    async with LlmDouble(max_model_len=2000, tells_models=tells) as double:
        llm = opened(double)
        double.answer = "<think>" + "Hm. " * 300 + f"</think> {WHOLE}"
        assert (await llm.summarize(SummaryRequest("1", REPORT))).text == WHOLE
        assert all(REPORT in seen.prompt for seen in double.requests)  # never in parts
        await llm.stop()


async def test_a_servers_own_bound_on_answers_is_not_the_prompts_fault() -> None:
    async with LlmDouble() as double:
        llm = opened(double)
        double.content = completion("Revenue rose. It was $1.2 bil", "length", 60, 100)
        assert (await llm.summarize(SummaryRequest("1", REPORT))).text == "Revenue rose."
        assert len(double.requests) == 1
        await llm.stop()


@pytest.mark.parametrize(
    "entry",
    [
        {"max_model_len": 1000},
        {"context_length": 1000},
        {"loaded_context_length": 1000, "max_context_length": 131072},
        {"context_window": 1000},
        {"meta": {"n_ctx": 1000, "n_ctx_train": 131072}},
    ],
)
async def test_the_context_is_learnt_where_it_is_told(entry: dict[str, object]) -> None:
    async with LlmDouble(max_model_len=1000) as double:
        double.entry = {"max_model_len": None} | entry
        llm = opened(double)
        assert (await llm.summarize(SummaryRequest("1", LONG))).text
        await llm.stop()
        assert double.counts().get("400", 0) == 0


async def test_a_server_without_the_model_is_not_usable_before_the_first_document() -> None:
    async with LlmDouble() as double:
        settings = Settings(llm_url=double.url, llm_model="another")  # type: ignore[call-arg]
        llm = open_summarizer(settings, None)  # type: ignore[arg-type]
        for _ in range(2):
            with pytest.raises(OutageError, match="another"):
                await llm.ping()
        await llm.stop()


async def test_a_model_that_a_server_has_and_does_not_list_is_usable() -> None:
    async with LlmDouble(entry={"id": "an-alias"}) as double:
        llm = opened(double)
        for _ in range(3):
            await llm.ping()
        asked = [seen for seen in double.requests if seen.body]
        assert len(asked) == 1  # once: it has answered
        assert (await llm.summarize(SummaryRequest("1", REPORT))).text
        await llm.stop()
