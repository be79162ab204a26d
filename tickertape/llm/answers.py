"""What a body of chat completions says: the answer, and whether it is one. Pure.

An answer counts only when it ended by itself or at its length. A vLLM that is being shut down
answers 200 with a cut text and ``abort``; a gateway answers 200 with the error of its upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tickertape.errors import Rejected, TransientError
from tickertape.lines import is_open
from tickertape.llm.base import DEPENDENCY, Completion
from tickertape.llm.errors import NoAnswer
from tickertape.llm.servers.finish import FINISH, Finish
from tickertape.llm.servers.thinking import THINKING_FIELDS, THINKING_PARTS
from tickertape.llm.thinking import without_thinking
from tickertape.llm.tokens import estimate
from tickertape.text import blank

ONLY_THINKING = (
    "turn its thinking off at the server (its chat template's enable_thinking, its reasoning "
    "effort), or take a model that does not think; see MODEL_NAME"
)


def read(content: Mapping[str, Any], max_tokens: int) -> Completion:
    """Read a decoded answer without an error in it, to a request for ``max_tokens``.

    Raises:
        NoAnswer: it has thinking alone.
        Rejected: the server's content filter has stopped it, or the model refuses.
        TransientError: it is half an answer, an empty one, or none.
    """
    try:
        choice = content["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text, apart = parts(message)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _failed("an answer without choices") from None
    finish = finish_of(reason)
    usage = content.get("usage")
    counts = [_count(usage, f"{name}_tokens") for name in ("prompt", "completion", "total")]
    answer, thought = without_thinking(text)
    finish = settled(finish, reason, answer, counts[1] or estimate(answer), max_tokens)
    if not answer and (thought or apart):
        cut = finish is Finish.CUT
        how = "was cut while it thought" if cut else "thought"
        raise NoAnswer(
            f"llm: the model {how} and gave no answer: {ONLY_THINKING}",
            cut=cut,
            prompt_tokens=counts[0],
            completion_tokens=counts[1],
        )
    if blank(answer):
        if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
            raise Rejected(f"llm: the model refuses to answer: {' '.join(refusal.split())[:300]}")
        raise _failed(f"an empty answer ({reason})")
    return Completion(answer, finish is Finish.CUT, *counts)


def finish_of(reason: object) -> Finish:
    """Return what a finish_reason stands for."""
    return (
        FINISH.get(reason.strip().lower(), Finish.UNSAID)
        if isinstance(reason, str)
        else (Finish.UNSAID)
    )


def settled(
    finish: Finish, reason: object, answer: str, tokens: int = 0, max_tokens: int | None = None
) -> Finish:
    """Return how an answer ended: by itself or at its length, where the server does not say.

    Of ``tokens``, fewer than ``max_tokens`` were not cut by that; how the text ends tells whether
    they were by something else. Without a full stop it may well be whole: a headline, a list.

    Raises:
        Rejected: the server's content filter has stopped it.
        TransientError: it is half an answer.
    """
    if finish is Finish.FILTERED:
        raise Rejected(f"llm: the server's content filter stopped the answer ({reason})")
    if finish is Finish.UNSAID:
        if max_tokens is not None and tokens >= max_tokens:
            return Finish.CUT
        finish = Finish.BROKEN if answer.strip() and is_open(answer.strip()) else Finish.ENDED
    if finish is Finish.BROKEN:
        raise _failed(f"the answer was cut off ({reason})")
    return finish


def error_in(content: Mapping[str, Any]) -> object:
    """Return the error in an answer of 200, its own or its first choice's; None if it has none."""
    if content.get("error"):
        return content
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict) and choice.get("error"):
        return choice
    # An older vLLM or SGLang
    return content if content.get("object") == "error" else None


def parts(message: Mapping[str, Any]) -> tuple[str, bool]:
    """Return a message's text (or a piece's), and whether there is thinking in a field or part of
    its own."""
    apart = any(message.get(name) for name in THINKING_FIELDS)
    content = message.get("content")
    if not isinstance(content, list):
        return (content if isinstance(content, str) else ""), apart
    texts = []
    for part in content:
        if isinstance(part, dict) and part.get("type") in THINKING_PARTS:
            apart = True
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "".join(texts), apart


def _failed(what: str) -> TransientError:
    return TransientError(f"llm: {what}", dependency=DEPENDENCY)


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and value >= 0 else 0
