"""What vLLM 0.32 and the gateways before it answer, body for body, as they were seen.

Every fault is data: a name, an HTTP status, a body, a content type, headers. `testkit.llm.double`
serves them; the wire's own faults (cut, reset, hold) are its code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One canned answer."""

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, message: str, kind: str, param: str | None = None) -> Answer:
    """vLLM's error body: HTTP status and code are the same, code is a number."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": status}}
    return Answer(status, json.dumps(body))


def too_long(limit: int, tokens: int) -> Answer:
    """The prompt has too many tokens."""
    return error(
        400,
        f"This model's maximum context length is {limit} tokens. However, your prompt contains "
        f"at least {tokens} input tokens, which exceeds this limit even without any output "
        "tokens. Please reduce the length of the input prompt. "
        f"(parameter=input_tokens, value={tokens})",
        "BadRequestError",
        "input_tokens",
    )


def too_many_characters(limit: int, characters: int) -> Answer:
    """The prompt is so long that vLLM does not tokenise it."""
    return error(
        400,
        f"This model's maximum context length is {limit} tokens. However, your prompt contains "
        f"{characters} characters (more than {23 * limit} characters, which is the upper bound "
        f"for {limit} input tokens). Please reduce the length of the input prompt. "
        f"(parameter=input_text, value={characters})",
        "BadRequestError",
        "input_text",
    )


def max_tokens_too_large(limit: int, asked: int) -> Answer:
    """``max_tokens`` alone is over the context."""
    return error(
        400,
        f"max_tokens={asked} cannot be greater than max_model_len={limit}. Please request fewer "
        f"output tokens. (parameter=max_tokens, value={asked})",
        "BadRequestError",
        "max_tokens",
    )


def max_tokens_too_small(asked: int) -> Answer:
    """``max_tokens`` below one."""
    return error(
        400,
        f"max_tokens must be at least 1, got {asked}. (parameter=max_tokens, value={asked})",
        "BadRequestError",
        "max_tokens",
    )


def no_model(asked: str, served: str) -> Answer:
    """The model has another name."""
    return error(
        404,
        f"The model `{asked}` does not exist. Valid aliases: {served}.",
        "NotFoundError",
        "model",
    )


def completion(
    text: str | None, reason: str | None, prompt: int, answer: int, **more: Any
) -> dict[str, Any]:
    """A chat completion as vLLM writes it, nulls included."""
    return {
        "id": "chatcmpl-double",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "double",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": text,
                    "refusal": None,
                    "annotations": None,
                    "audio": None,
                    "function_call": None,
                    "reasoning": None,
                },
                "logprobs": None,
                "finish_reason": reason,
                "stop_reason": None,
                "token_ids": None,
            }
        ],
        "service_tier": None,
        "system_fingerprint": "vllm-0.32.0-double",
        "usage": usage(prompt, answer),
        "prompt_logprobs": None,
        "kv_transfer_params": None,
    } | more


def usage(prompt: int, answer: int) -> dict[str, Any]:
    """Token counts as vLLM writes them."""
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + answer,
        "completion_tokens": answer,
        "prompt_tokens_details": None,
        "completion_tokens_details": None,
    }


_JSON_INVALID = (
    "1 validation error:\n  {'type': 'json_invalid', 'loc': 'body.9', 'msg': 'JSON decode error', "
    "'input': '<dict of 0 items>', 'ctx': {'error': 'Expecting value'}}"
)
_MISSING = (
    "1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', "
    "'input': '<dict of 1 items>'}"
)
_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_BUSY = (
    "The engine is currently busy and cannot accept new requests. "
    "Please try again later or on a different instance."
)
_BACKLOG = (
    "The engine has reached its prefill token backlog limit. "
    "Please try again later or on a different instance."
)
ENGINE_DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."

BAD_JSON = error(400, _JSON_INVALID, "Bad Request", "body.9")
MISSING_MESSAGES = error(400, _MISSING, "Bad Request", "body.messages")
UNAUTHORIZED = Answer(401, '{"error":"Unauthorized"}')
DRAINING = error(500, "cannot schedule new futures after shutdown", "InternalServerError")

FAULTS: dict[str, Answer] = {
    "too_long": too_long(256, 257),
    "too_long_text": too_many_characters(256, 24021),
    "too_long_llama_cpp": Answer(
        400,
        '{"error":{"message":"too long","type":"invalid_request_error","param":"messages",'
        '"code":"context_length_exceeded"}}',
    ),
    "max_tokens": max_tokens_too_large(256, 9999),
    "no_model": no_model("nope", "tiny"),
    "not_found": Answer(404, '{"detail":"Not Found"}'),
    "not_allowed": Answer(405, '{"detail":"Method Not Allowed"}'),
    "bad_json": BAD_JSON,
    "missing_messages": MISSING_MESSAGES,
    "bad_grammar": error(400, "Grammar error: Invalid type: nonsense", "BadRequestError"),
    "unprocessable": Answer(422, '{"detail":"Unexpected fields in the request: {\'x\'}"}'),
    "unauthorized": UNAUTHORIZED,
    "forbidden": Answer(403, "Forbidden", "text/plain"),
    "busy": error(503, _BUSY, "Service Unavailable"),
    "backlog": error(503, _BACKLOG, "Service Unavailable"),
    "scaling": Answer(503, '{"error":"The model is currently scaling. Please try again later."}'),
    "rate_limited": Answer(429, '{"error":{"message":"Rate limit reached","code":"rate_limit"}}'),
    "engine_dead": error(500, ENGINE_DEAD, "InternalServerError"),
    "draining": DRAINING,
    "empty_500": Answer(500),
    "text_500": Answer(500, "Internal Server Error", "text/plain"),
    "html_502": Answer(502, _HTML.format("502 Bad Gateway"), "text/html"),
    "html_503": Answer(503, _HTML.format("503 Service Unavailable"), "text/html"),
    "empty_504": Answer(504),
    "empty_200": Answer(200),
    "html_200": Answer(200, _HTML.format("Sign in"), "text/html"),
    "garbage_200": Answer(200, "\x00{not json", "application/json"),
    "list_200": Answer(200, "[]"),
    "no_choices": Answer(200, '{"id":"chatcmpl-1","choices":[]}'),
    "abort": Answer(200, json.dumps(completion("Revenue was $1", "abort", 40, 4))),
    "no_finish": Answer(200, json.dumps(completion("Revenue was", None, 40, 3))),
    "content_filter": Answer(200, json.dumps(completion("", "content_filter", 40, 0))),
    "empty_summary": Answer(200, json.dumps(completion("", "stop", 40, 1))),
    "blank_summary": Answer(200, json.dumps(completion(" \n", "stop", 40, 2))),
    "null_content": Answer(200, json.dumps(completion(None, "length", 40, 256))),
    "cut_json": Answer(200, json.dumps(completion("{   ", "length", 40, 3))),
}
