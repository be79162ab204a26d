"""What is shown of an answer while it comes is never thinking, wherever the pieces are cut."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_llm_servers import ANSWER, MARKS, THOUGHT
from tickertape.llm.servers.thinking import THINKING
from tickertape.llm.thinking import Spoken, opens_unseen, without_thinking

TEXTS = [
    ANSWER,
    f"Costs were <5 % of sales [1]. {ANSWER} [2]",
    f"<think>{THOUGHT}</think>One.<think>{THOUGHT}</think> Two.",
    f"<thought>{THOUGHT}</thought><answer>{ANSWER}</answer>",
    f"<seed:think>{THOUGHT}</seed:think>{ANSWER}<|im_end|>",
    f"analysisWe need it. {THOUGHT}assistantfinal{ANSWER}",
    f"{ANSWER}<|im_end|>\n<|im_start|>user\nThanks! And of 2027?",
    f"{ANSWER}\n<reflection>{THOUGHT}</reflection>",
    f"<think>{THOUGHT}[/THINK] {THOUGHT}</think>{ANSWER}",
    f"<think>{THOUGHT}",
]
for _row in THINKING:
    _opened, _closed = MARKS[_row.family]
    TEXTS.append(f"{_opened}{THOUGHT}{_closed}\n\n{ANSWER}")


def pieces(text: str, seed: int) -> list[str]:
    chance = random.Random(seed)
    found = []
    while text:
        size = chance.choice((1, 1, 2, 4, 9))
        found.append(text[:size])
        text = text[size:]
    return found


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("unseen", [False, True])
def test_what_is_shown_is_the_answer_without_thinking(text: str, unseen: bool) -> None:
    answer, _ = without_thinking(text)
    for seed in range(60):
        spoken = Spoken(unseen=unseen)
        shown = ""
        for piece in pieces(text, seed):
            shown += spoken.take(piece)
            assert answer.startswith(shown.rstrip()), shown
        assert shown + spoken.end() == answer


@pytest.mark.parametrize(
    "row", [row for row in THINKING if row.close_alone], ids=lambda r: r.family
)
def test_thinking_whose_beginning_is_unseen_is_never_shown(row: object) -> None:
    closed = MARKS[row.family][1]  # type: ignore[attr-defined]
    text = f"{THOUGHT}{closed}\n{ANSWER}"
    assert opens_unseen(text)
    for seed in range(30):
        spoken = Spoken(unseen=True)
        shown = "".join(map(spoken.take, pieces(text, seed))) + spoken.end()
        assert shown == ANSWER
        spoken = Spoken(unseen=False)  # what was shown is taken back
        with pytest.raises(ValueError, match="thinking"):
            assert [*map(spoken.take, pieces(text, seed)), spoken.end()]


def test_an_answer_that_is_known_to_have_no_thinking_is_shown_at_once() -> None:
    spoken = Spoken(unseen=False)
    assert spoken.take("Revenue was ") == "Revenue was"
    assert spoken.take("$4.2 billion") == " $4.2 billion"
    spoken = Spoken(unseen=True)
    assert spoken.take("Revenue was ") == ""
    assert spoken.end() == "Revenue was"


@pytest.mark.parametrize("text", [ANSWER, f"<think>{THOUGHT}</think>{ANSWER}", "Here is my view."])
def test_thinking_that_is_seen_whole_began_in_the_answer(text: str) -> None:
    assert not opens_unseen(text)


@given(st.lists(st.sampled_from(["<", ">", "think", "/", "[", "THINK]", "a", " ", "|", "7 %"])))
def test_any_answer_in_any_pieces_is_what_it_is_whole(parts: list[str]) -> None:
    spoken = Spoken(unseen=True)
    try:
        shown = "".join(map(spoken.take, parts)) + spoken.end()
    except ValueError:
        return  # told as not to be trusted
    assert shown == without_thinking("".join(parts))[0]
