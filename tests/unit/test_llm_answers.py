"""What an answer of HTTP 200 is: an answer, half of one, thinking alone, or an error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickertape.errors import Rejected, TickertapeError, TransientError
from tickertape.llm import answers
from tickertape.llm.base import Completion
from tickertape.llm.errors import NoAnswer
from tickertape.llm.servers.finish import FINISH, Finish
from tickertape.llm.servers.thinking import THINKING_FIELDS
from tickertape.llm.tokens import estimate, least, was_cut

WHOLE = "Revenue was $4.2 billion in the second quarter."
HALF = "Revenue was $4.2 billion in the"


def body(text: Any, reason: Any = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": text} | message
    usage = {"prompt_tokens": 900, "completion_tokens": 40, "total_tokens": 940}
    return {"choices": [{"index": 0, "message": said, "finish_reason": reason}], "usage": usage}


def read(content: dict[str, Any], max_tokens: int = 352) -> Completion:
    return answers.read(content, max_tokens)


@pytest.mark.parametrize(("reason", "kind"), sorted(FINISH.items()))
def test_what_each_finish_reason_makes_of_a_whole_text(reason: str, kind: Finish) -> None:
    if kind in (Finish.ENDED, Finish.CUT):
        found = read(body(WHOLE, reason.upper()))
        assert (found.text, found.cut) == (WHOLE, kind is Finish.CUT)
        assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (900, 40, 940)
        return
    expected = Rejected if kind is Finish.FILTERED else TransientError
    with pytest.raises(expected, match=reason):
        read(body(WHOLE, reason))


@pytest.mark.parametrize("reason", [None, "", " ", "something_new", 7, {}, "<|eot_id|>"])
def test_where_the_server_does_not_say_the_text_tells(reason: object) -> None:
    assert read(body(WHOLE, reason)).text == WHOLE
    with pytest.raises(TransientError, match="cut off"):
        read(body(HALF, reason))
    without = body(WHOLE)
    del without["choices"][0]["finish_reason"]
    assert read(without).text == WHOLE


@pytest.mark.parametrize("reason", [None, "", "something_new"])
@pytest.mark.parametrize(
    "text",
    ["Revenue up 8% to $4.2 billion", "- Revenue: $4.2 billion\n- Margin: 12%", "Revenue rose**"],
)
@pytest.mark.parametrize("usage", [True, False])
def test_an_answer_without_a_full_stop_is_whole_where_its_length_did_not_cut_it(
    reason: object, text: str, usage: bool
) -> None:
    content = body(text, reason)
    if not usage:
        del content["usage"]
    assert not read(content).cut
    assert read(content).text == text
    assert read(content, 5).cut  # it may have had no more: what is half of a sentence is left out


@pytest.mark.parametrize("reason", [None, "", "something_new"])
@pytest.mark.parametrize("end", [" of the", ", and", ",", " compared with", " $"])
def test_where_no_sentence_ends_none_does(reason: object, end: str) -> None:
    with pytest.raises(TransientError, match="cut off"):
        read(body(f"Revenue was $4.2 billion{end}", reason))


@pytest.mark.parametrize("field", THINKING_FIELDS)
@pytest.mark.parametrize("text", [None, "", "  ", "<think>Hm.</think>"])
def test_thinking_alone_says_what_to_do(field: str, text: str | None) -> None:
    with pytest.raises(NoAnswer, match="MODEL_NAME") as caught:
        read(body(text, **{field: "The revenue was $4.2 billion."}))
    assert not caught.value.cut
    assert "4.2" not in str(caught.value)  # what it thought is no answer, in a letter neither


@pytest.mark.parametrize("text", ["\u200b\u200b", "\ufeff \u00ad", "<|eot_id|>"])
def test_an_answer_of_which_nothing_is_seen_is_none(text: str) -> None:
    with pytest.raises(TransientError, match="empty answer"):
        read(body(text))


def test_a_refusal_of_the_model_is_no_answer_and_says_so() -> None:
    with pytest.raises(Rejected, match="refuses to answer: I cannot help with that"):
        read(body(None, refusal="I cannot\nhelp with that."))


def test_thinking_that_was_cut() -> None:
    with pytest.raises(NoAnswer, match="cut while it thought") as caught:
        read(body("<think>\nOkay, so I need to", "length"))
    assert caught.value.cut
    assert caught.value.completion_tokens == 40


def test_thinking_beside_an_answer() -> None:
    assert read(body(WHOLE, reasoning_content="Hm.")).text == WHOLE
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Revenue was "},
        {"type": "text", "text": "$1."},
    ]
    assert read(body(parts)).text == "Revenue was $1."
    with pytest.raises(NoAnswer):
        read(body(parts[:1]))


@pytest.mark.parametrize(
    "content",
    [
        {"error": {"message": "Rate limit exceeded", "code": 429}},
        {"error": "busy"},
        {"choices": [{"error": {"code": 502, "message": "upstream"}, "finish_reason": "error"}]},
        {"object": "error", "message": "no", "code": 400},
    ],
)
def test_an_error_under_200_is_seen(content: dict[str, Any]) -> None:
    assert answers.error_in(content) is not None
    assert answers.error_in(body(WHOLE) | {"error": None}) is None


KEYS = st.sampled_from(["choices", "message", "content", "finish_reason", "error", "usage", "type"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_any_object_is_an_answer_or_an_error_of_ours(content: dict[str, Any]) -> None:
    answers.error_in(content)
    with suppress(TickertapeError):
        assert read(content).text.strip()


@pytest.mark.parametrize(
    ("text", "tokens", "cut"),
    [
        ("In region 7 the company sold 107 units of its pumps. " * 1700, 2050, True),
        ("In region 7 the company sold 107 units of its pumps. " * 1700, 22_000, False),
        ("Internationalisation notwithstanding, considerations. " * 100, 1100, False),
        ("\u6536\u5165\u589e\u957f\u4e86\u767e\u5206\u4e4b\u516b\u3002" * 900, 2048, True),
        ("\u6536\u5165\u589e\u957f\u4e86\u767e\u5206\u4e4b\u516b\u3002" * 900, 5000, False),
        ("Item" + " " * 60_000 + "." * 9000, 600, False),  # runs are few tokens
        ("word " * 20_000, 0, False),  # the server does not count
        ("word " * 20_000, 3, False),  # or counts what was not cached
    ],
)
def test_a_prompt_that_was_cut_in_silence(text: str, tokens: int, cut: bool) -> None:
    assert was_cut(text, tokens) is cut


@given(st.text(max_size=300))
def test_the_least_is_never_over_the_estimate(text: str) -> None:
    assert least(text) <= estimate(text)
