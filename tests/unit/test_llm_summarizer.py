"""What a language model gets of a document, and what is made of its answer's figures."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tickertape.llm.base import Completion, Description, Message
from tickertape.summarize.base import Summary, SummaryRequest
from tickertape.summarize.llm import LLMSummarizer


class Saying:
    """A model that gives one answer and keeps what it was asked."""

    name = "saying"

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def describe(self) -> Description:
        return Description()

    async def complete(self, messages: Sequence[Message], max_tokens: int) -> Completion:
        self.asked += [str(message["content"]) for message in messages]
        return Completion(self.answer, cut=False)


async def summary_of(text: str, answer: str) -> tuple[Summary, str]:
    model = Saying(answer)
    summary = await LLMSummarizer(model).summarize(SummaryRequest("1", text))
    return summary, "\n".join(model.asked)


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("Brindle lost $38.6 million.", ()),
        ("Brindle earned a net profit of $38.6 million.", ("$38.6 million",)),
        ("Brindle lost NOK 38.6 million.", ("NOK 38.6 million",)),
        ("Brindle lost \uff04\uff13\uff18.\uff16 million.", ()),
    ],
)
async def test_a_loss_told_as_a_profit_is_unverified(answer: str, missing: tuple[str, ...]) -> None:
    text = "Brindle reported a net loss of $(38.6) million in the third quarter."
    assert (await summary_of(text, answer))[0].unsupported == missing


async def test_it_gets_what_a_reader_sees() -> None:
    text = "<div><b>Rev\u00adenue</b> of R&amp;D was $5&nbsp;million.</div><script>x=1</script>"
    summary, asked = await summary_of(text, "Revenue was $5 million.")
    assert summary.unsupported == ()
    assert "Revenue of R&D was $5\u00a0million." in asked
    assert "<div>" not in asked
    assert "x=1" not in asked
