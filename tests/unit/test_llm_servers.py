"""Each row of what LLM servers say, and that no pattern is slow on foreign text."""

from __future__ import annotations

import re
import time

import orjson
import pytest

from tickertape.errors import ErrorClass, OutageError, Rejected, Timeout, TransientError, classify
from tickertape.llm.errors import PromptTooLong, Refusal, answer_error, too_long
from tickertape.llm.servers import errors, finish, thinking
from tickertape.llm.servers import too_long as tables
from tickertape.llm.servers.finish import FINISH, Finish
from tickertape.llm.servers.thinking import THINKING
from tickertape.llm.servers.too_long import TOO_LONG, TOO_LONG_CODES, TooLong
from tickertape.llm.thinking import without_thinking

ROWS = [pytest.param(row, id=f"{row.server}-{i}") for i, row in enumerate(TOO_LONG)]
SHAPES = {
    "openai": lambda text: {"error": {"message": text, "type": "invalid_request_error"}},
    "flat": lambda text: {"object": "error", "message": text, "code": 400},
    "string": lambda text: {"error": text, "error_type": "validation"},
    "detail": lambda text: {"detail": text},
    "nested": lambda text: {"detail": {"error": {"message": text}}},
    "list": lambda text: [{"error": {"message": text, "status": "INVALID_ARGUMENT"}}],
    "openrouter": lambda text: {
        "error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": text}}
    },
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_knows_its_example_and_tells_its_limit(row: TooLong) -> None:
    found = row.says.search(row.example)
    assert found
    told = found.groupdict().get("limit")
    assert (int(told.replace(",", "")) if told else None) == row.tells


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_too_long_in_every_servers_words(row: TooLong, status: int) -> None:
    for shape, wrapped in SHAPES.items():
        body = orjson.dumps(wrapped(row.example))
        error = answer_error(status, Refusal.read(body), {}, "m")
        assert isinstance(error, PromptTooLong), shape
        assert error.limit == row.tells, shape


@pytest.mark.parametrize("code", sorted(TOO_LONG_CODES))
@pytest.mark.parametrize("field", ["code", "type"])
def test_too_long_by_its_code(code: str, field: str) -> None:
    body = orjson.dumps({"error": {"message": "no", field: code, "n_ctx": 2048}})
    error = answer_error(500, Refusal.read(body), {}, "m")
    assert isinstance(error, PromptTooLong)
    assert error.limit == 2048


@pytest.mark.parametrize(
    "text",
    [
        "The prompt is too large for this deployment",
        "Number of input tokens (9000) is greater than what the engine takes (8192)",
        "conversation history overflows: sequence length 9000, at most 8192",
        "Too many tokens: 9000 in the messages",
        "Please reduce the length of the prompt",
    ],
)
def test_too_long_in_words_that_no_row_has(text: str) -> None:
    for status in (400, 413, 422):
        assert isinstance(answer_error(status, Refusal(text), {}, "m"), PromptTooLong)
    assert not isinstance(answer_error(500, Refusal(text), {}, "m"), PromptTooLong)


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (429, "Too many tokens, please wait before trying again.", OutageError),  # Bedrock
        (429, "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000", OutageError),
        (400, "ThrottlingException: too many tokens per minute", Rejected),
        (400, "max_tokens must be at least 1, got 0.", Rejected),
        (400, "Grammar error: Invalid type: nonsense", Rejected),
        (400, "temperature: input should be less than or equal to 2, exceeds", Rejected),
        (503, "The engine has reached its prefill token backlog limit.", OutageError),
        (500, "CUDA out of memory", TransientError),
    ],
)
def test_what_is_not_too_long(status: int, text: str, expected: type[Exception]) -> None:
    assert type(answer_error(status, Refusal(text), {}, "m")) is expected


@pytest.mark.parametrize(("word", "status"), errors.STATUS_OF)
@pytest.mark.parametrize("field", ["code", "type", "status"])
def test_an_error_without_a_status_by_its_words(word: str, status: int, field: str) -> None:
    assert Refusal.of({"error": {"message": "?", field: f"some_{word}_error"}}).status == status


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (429, OutageError),
        ("429", OutageError),
        (503, OutageError),
        (529, OutageError),
        (401, OutageError),
        (408, Timeout),
        (400, Rejected),
        (502, TransientError),
        (1301, TransientError),
        (None, TransientError),
    ],
)
def test_an_error_under_200_is_what_its_code_names(code: object, kind: type[Exception]) -> None:
    refusal = Refusal.of({"error": {"message": "Rate limit exceeded: free", "code": code}})
    error = answer_error(refusal.status, refusal, {}, "m")
    assert type(error) is kind
    assert "Rate limit exceeded: free" in str(error)


def test_the_words_of_an_upstream_are_told() -> None:
    raw = "glm is temporarily rate-limited upstream"
    body = {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": raw}}}
    assert raw in Refusal.of(body).message


def test_a_key_is_masked_before_a_message_is_cut() -> None:
    key = "sk-secret"
    assert key not in Refusal.read(f"{'x' * 296}{key}".encode(), key).said
    assert key not in Refusal.read(orjson.dumps({"error": f"bad {key}"}), key).message


@pytest.mark.parametrize(("reason", "kind"), sorted(FINISH.items()))
def test_every_finish_reason_is_one_of_the_table(reason: str, kind: Finish) -> None:
    assert reason == reason.lower().strip()
    assert kind is not Finish.UNSAID


MARKS = {
    "xml": ("<think>", "</think>"),
    "mistral": ("[THINK]", "[/THINK]"),
    "kimi": ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    "cohere": ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    "openthinker": ("<|begin_of_thought|>", "<|end_of_thought|>\n<|begin_of_solution|>"),
    "harmony": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "gemma": ("<|channel>thought\n", "<channel|>"),
    "medgemma": ("<unused94>thought\n", "<unused95>"),
    "granite": ("Here is my thought process:", "Here is my response:"),
    "open-webui": ('<details type="reasoning" done="true">', "</details>"),
}
ANSWER = "Revenue was $4.2 billion in the second quarter."
THOUGHT = "Okay, so the user wants a summary. Maybe $9.9 billion? No.\n\n"


@pytest.mark.parametrize("row", THINKING, ids=lambda row: row.family)
def test_thinking_of_each_family(row: thinking.Thinking) -> None:
    opened, closed = MARKS[row.family]
    assert without_thinking(f"{opened}{THOUGHT}{closed}\n\n{ANSWER}") == (ANSWER, True)
    assert without_thinking(f"{opened}{THOUGHT}") == ("", True)  # cut
    assert without_thinking(opened + closed + ANSWER) == (ANSWER, True)
    if row.close_alone:
        assert without_thinking(f"{THOUGHT}{closed}\n{ANSWER}") == (ANSWER, True)
        assert without_thinking(THOUGHT + closed) == ("", True)


@pytest.mark.parametrize(
    "text",
    [
        f"<THINK>{THOUGHT}</THINK>{ANSWER}",
        f"<think time='3'>{THOUGHT}</thinking>{ANSWER}",
        f"< think >{THOUGHT}</ think >{ANSWER}",
        f"<thought>{THOUGHT}</thought><answer>{ANSWER}</answer>",
        f"<seed:think>{THOUGHT}</seed:think>{ANSWER}<|im_end|>",
        f"&lt;think&gt;{THOUGHT}&lt;/think&gt;{ANSWER}",
        f"<think>{THOUGHT}<think>more</think>{THOUGHT}</think>{ANSWER}",
        f"<scratchpad>\n{THOUGHT}</scratchpad>\n{ANSWER}",
        f"<thinking>{THOUGHT}<reflection>Right?</reflection></thinking><output>{ANSWER}</output>",
        f"{ANSWER}\n<reflection>{THOUGHT}</reflection>",
        f"<inner_monologue>{THOUGHT}</inner_monologue>{ANSWER}",
        f"{ANSWER}<think>Is that right? {THOUGHT}",
        f"{ANSWER}\n<think>{THOUGHT}</think>",
        f"analysisWe need a summary. {THOUGHT}assistantfinal{ANSWER}",
        f"<summary>{ANSWER}</summary>",
        f"{ANSWER}</s>",
        f"<s> {ANSWER}</s>",
        f"{ANSWER}<|im_end|>\n<|im_start|>user\nThanks! And of 2027?",
        f"<|eot_id|>{ANSWER}<|eot_id|><|start_header_id|>user<|end_header_id|>Thanks!",
    ],
)
def test_thinking_as_it_comes(text: str) -> None:
    assert without_thinking(text)[0] == ANSWER


def test_thinking_between_parts_of_an_answer() -> None:
    text = f"<think>{THOUGHT}</think>One.<think>{THOUGHT}</think> Two."
    assert without_thinking(text) == ("One. Two.", True)


@pytest.mark.parametrize("text", [ANSWER, "I think revenue <b>rose</b>.", "Analysis of 3 lines."])
def test_an_answer_without_thinking_stays(text: str) -> None:
    assert without_thinking(text) == (text, False)


def test_every_class_is_reached() -> None:
    assert {classify(answer_error(s, Refusal(), {}, "m")) for s in (400, 429, 500)} == set(
        ErrorClass
    )
    assert too_long(400, Refusal()) == (False, None)


@pytest.mark.parametrize(
    "worst",
    [
        word * (10**6 // len(word))
        for word in (
            *("<think ", "<", "<|", "<details ", "<answer>", "<|channel|>final", "tokens ", " "),
            *("Request too large for ", "maximum context length is ", "prompt (length 1", "a"),
        )
    ],
)
def test_no_pattern_is_slow_on_a_megabyte(worst: str) -> None:
    """What is quadratic takes hours."""
    patterns = [row.says for row in TOO_LONG]
    for module in (tables, errors, finish, thinking):
        patterns += [value for value in vars(module).values() if isinstance(value, re.Pattern)]

    def seconds(text: str) -> float:
        start = time.process_time()
        for pattern in patterns:
            pattern.search(text)
        without_thinking(text)
        return time.process_time() - start

    assert seconds(worst) < 20
