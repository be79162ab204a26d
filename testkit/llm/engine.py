"""What vLLM makes of a chat request: a refusal, an answer, a stream of events. Pure, no model.

Words and punctuation marks count as tokens. The answer is the first sentence inside <document>,
or of the last message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from testkit.llm import bodies

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])")
_DOCUMENT = re.compile(r"<document>\s*(.*?)\s*</document>", re.DOTALL)
_SENTENCE = re.compile(r".+?[.!?](?=\s|$)", re.DOTALL)
DONE = "data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer with its finish_reason and token counts."""

    text: str
    reason: str
    prompt_tokens: int
    tokens: int

    def completion(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of a plain answer."""
        found = bodies.completion(self.text, self.reason, self.prompt_tokens, self.tokens)
        return found | dict(more)


def refusal(body: Any, model: str, limit: int) -> bodies.Answer | None:
    """Return what is refused before anything is generated, in vLLM's order."""
    if not isinstance(body, dict) or not body.get("messages"):
        return bodies.MISSING_MESSAGES
    if body.get("model", model) != model:
        return bodies.no_model(body["model"], model)
    asked = body.get("max_tokens")
    if asked is not None and asked < 1:
        return bodies.max_tokens_too_small(asked)
    if asked is not None and asked > limit:
        return bodies.max_tokens_too_large(limit, asked)
    prompt = _prompt(body)
    if len(prompt) > 23 * limit:
        return bodies.too_many_characters(limit, len(prompt))
    tokens = len(_TOKEN.findall(prompt))
    return bodies.too_long(limit, tokens) if tokens > limit else None


def cut(body: Any, limit: int) -> Any:
    """Return the request with the last tokens of its last message alone."""
    *earlier, last = body["messages"]
    tokens = _TOKEN.findall(last["content"])
    kept = "".join(tokens[-limit:] if len(tokens) > limit else tokens)
    return body | {"messages": [*earlier, last | {"content": kept}]}


def generate(body: Any, limit: int, answer: str | None = None) -> Generated:
    """Return ``answer``, else the first sentence; cut to the room that the prompt leaves."""
    prompt = _prompt(body)
    used = len(_TOKEN.findall(prompt))
    if answer is None:
        documents = _DOCUMENT.findall(prompt)  # the instructions name the delimiters, too
        inside = documents[-1] if documents else prompt
        sentence = _SENTENCE.match(inside)
        answer = sentence[0] if sentence else inside
    tokens = _TOKEN.findall(answer)
    room = limit - used
    room = min(room, body.get("max_tokens") or room)
    if len(tokens) > room:  # no error, as in vLLM
        return Generated("".join(tokens[:room]), "length", used, room)
    return Generated(answer, "stop", used, len(tokens))


def events(found: Generated, body: Any, kind: str, more: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pieces of a server-sent stream; ``kind`` is a stream_* fault or another word."""
    if kind == "stream_empty":
        return
    start = {"object": "chat.completion.chunk", "created": 1_700_000_000} | dict(more)
    # The role alone, an empty piece (UTF-8 held back), then pieces of several tokens.
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, {"content": ""}]
    deltas += [{"content": p} for p in re.findall(r"\s*\S+(?:\s+\S+)?\s*", found.text)]
    for index, delta in enumerate(deltas):
        last = index == len(deltas) - 1
        if last and kind == "stream_error":
            yield f"data: {bodies.FAULTS['engine_dead'].body}\n\n"
            yield DONE
            return
        if last and kind == "stream_cut":
            return
        if last and kind == "stream_mid_chunk":
            yield 'data: {"id":"chatcmpl-1","choi'
            return
        finish = ("abort" if kind == "stream_abort" else found.reason) if last else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        yield _event(start | {"choices": [choice]})
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = bodies.usage(found.prompt_tokens, found.tokens)
        yield _event(start | {"choices": [], "usage": usage})
    yield DONE


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


def _prompt(body: Any) -> str:
    return "\n".join(str(message.get("content", "")) for message in body["messages"])
