"""The OpenAI-compatible provider: streams, masked keys; and the double it is tested on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from testkit import models
from testkit.llm.double import LlmDouble
from tickertape.errors import ErrorClass, OutageError, classify
from tickertape.llm.base import Completion
from tickertape.llm.errors import NoAnswer
from tickertape.llm.openai import OpenAIModel
from tickertape.settings import Settings
from tickertape.summarize import open_summarizer
from tickertape.summarize.base import SummaryRequest

KEY = "sk-hush-7f3a9"
REPORT = "Good morning and thank you all for joining us. Third-quarter revenue was $1.2 billion."


@pytest.fixture
async def double() -> AsyncIterator[LlmDouble]:
    async with LlmDouble() as double:
        yield double


async def test_a_key_that_the_server_repeats_is_masked() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": f"bad key {request.headers['authorization']}"})

    client = OpenAIModel("http://llm/v1", "m", key=KEY)
    await client.start()
    assert client._client is not None
    client._client._transport = httpx.MockTransport(echo)
    client._client._mounts.clear()
    with pytest.raises(OutageError, match=r"bad key Bearer \*\*\*"):
        await client.complete([{"role": "user", "content": "?"}], 5)
    await client.stop()


# Streams


async def test_a_stream(double: LlmDouble) -> None:
    client = OpenAIModel(double.url, double.model)
    for _ in range(2):  # of the first it is not known yet whether it thinks unseen
        *pieces, whole = [p async for p in client.stream([{"role": "user", "content": REPORT}], 99)]
        assert isinstance(whole, Completion)
        assert "".join(map(str, pieces)) == whole.text
        assert whole.text == "Good morning and thank you all for joining us."
        assert (whole.cut, whole.completion_tokens) == (False, 10)
    assert len(pieces) > 1
    await client.stop()


@pytest.mark.parametrize("apart", [False, True])
async def test_a_stream_has_no_thinking_in_it(double: LlmDouble, apart: bool) -> None:
    """Neither where its beginning stands in the prompt and only its end is seen."""
    thought = "Okay, the user wants a summary. Maybe $9.9 billion?"
    double.answer = f"{thought}\n</think>\nRevenue was $1.2 billion."
    if apart:
        double.answer = f"<think>{thought}</think>Revenue was $1.2 billion."
    client = OpenAIModel(double.url, double.model)
    for _ in range(2):
        *pieces, _ = [p async for p in client.stream([{"role": "user", "content": REPORT}], 99)]
        assert "".join(map(str, pieces)) == "Revenue was $1.2 billion."
    double.answer = f"Revenue was $1.2 billion. <think>{thought}</think>Really."
    *pieces, _ = [p async for p in client.stream([{"role": "user", "content": REPORT}], 99)]
    assert "$9.9" not in "".join(map(str, pieces))
    double.answer = f"<think>{thought}"
    with pytest.raises(NoAnswer):
        assert [p async for p in client.stream([{"role": "user", "content": REPORT}], 99)]
    await client.stop()


async def test_requests_are_halved_while_the_server_refuses(double: LlmDouble) -> None:
    client = OpenAIModel(double.url, double.model, concurrency=8)
    double.control(faults=[{"kind": "rate_limited"}])
    with pytest.raises(OutageError):
        await client.complete([{"role": "user", "content": REPORT}], 99)
    double.running_max = 0
    ask = client.complete([{"role": "user", "content": REPORT}], 99)
    double.control(faults=[{"kind": "slow", "seconds": 0.3}] * 4)
    await asyncio.gather(
        ask, *(client.complete([{"role": "user", "content": REPORT}], 99) for _ in range(7))
    )
    assert double.running_max == 4
    await client.stop()


async def test_a_server_that_does_not_count_streams_all_the_same(double: LlmDouble) -> None:
    client = OpenAIModel(double.url, double.model)
    double.control(faults=[{"kind": "unprocessable"}])
    pieces = [p async for p in client.stream([{"role": "user", "content": REPORT}], 99)]
    assert isinstance(pieces[-1], Completion)
    assert "stream_options" not in double.requests[-1].body
    await client.stop()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("stream_error", ErrorClass.TRANSIENT),
        ("stream_cut", ErrorClass.TRANSIENT),
        ("stream_mid_chunk", ErrorClass.TRANSIENT),
        ("stream_empty", ErrorClass.TRANSIENT),
        ("stream_abort", ErrorClass.TRANSIENT),
        ("reset", ErrorClass.TRANSIENT),
        ("busy", ErrorClass.OUTAGE),
        ("too_long", ErrorClass.PERMANENT),
    ],
)
async def test_a_stream_that_does_not_end_well(
    double: LlmDouble, kind: str, expected: ErrorClass
) -> None:
    client = OpenAIModel(double.url, double.model, concurrency=1)
    double.control(faults=[{"kind": kind}])
    with pytest.raises(Exception) as caught:  # noqa: PT011  the class is what is looked at
        async for _ in client.stream([{"role": "user", "content": REPORT}], 99):
            pass
    assert classify(caught.value) is expected
    # Its slot is free again.
    assert [p async for p in client.stream([{"role": "user", "content": REPORT}], 99)]
    await client.stop()


async def test_closing_a_stream_ends_the_request(double: LlmDouble) -> None:
    client = OpenAIModel(double.url, double.model, concurrency=1)
    double.control(faults=[{"kind": "hold"}])
    stream = client.stream([{"role": "user", "content": REPORT}], 99)
    first = asyncio.ensure_future(anext(stream))
    await double.until(1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await double.until(1, "disconnected")
    await client.stop()


# The double as a process


async def test_the_double_runs_as_a_process_and_is_steered() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "testkit.llm.double", "--model", "m"),
        cwd=models.ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        llm = open_summarizer(Settings(llm_url=url, llm_model="m"), None)  # type: ignore[arg-type]
        control = url.replace("/v1", "/control")
        async with httpx.AsyncClient() as client:
            wanted = {"faults": [{"kind": "rate_limited", "retry_after": 4}], "answer": "Fine."}
            assert (await client.post(control, json=wanted)).status_code == 200
            with pytest.raises(OutageError) as caught:
                await llm.summarize(SummaryRequest("1", REPORT))
            assert caught.value.retry_after == 4.0
            assert (await llm.summarize(SummaryRequest("1", REPORT))).text == "Fine."
            counts = (await client.get(control)).json()["counts"]
            assert counts == {"rate_limited": 1, "answered": 1}
            assert (await client.post(control, json={"faults": [{"kind": "?"}]})).status_code == 400
        await llm.stop()
    finally:
        process.terminate()
        await process.wait()
