"""How each server says that a prompt does not fit."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TooLong:
    """How a server says that a prompt does not fit; the group ``limit`` is the context in tokens.

    ``example`` is a message as it came, ``tells`` the limit that it tells.
    """

    server: str
    says: re.Pattern[str]
    example: str
    tells: int | None = None


def _row(server: str, says: str, example: str, tells: int | None = None) -> TooLong:
    return TooLong(server, re.compile(says, re.IGNORECASE), example, tells)


_N = r"(?P<limit>\d[\d,]{0,12})"

TOO_LONG: tuple[TooLong, ...] = (
    # vLLM, OpenAI, Azure, OpenRouter, DeepSeek, Fireworks
    _row(
        "vllm",
        rf"maximum context length (?:is |of )?\(?{_N}",
        "This model's maximum context length is 4096 tokens. However, you requested 4226 tokens "
        "(3970 in the messages, 256 in the completion).",
        4096,
    ),
    _row(
        "vllm",
        rf"max_model_len={_N}",
        "max_tokens=9999 cannot be greater than max_model_len=256. Please request fewer output "
        "tokens. (parameter=max_tokens, value=9999)",
        256,
    ),
    _row(
        "vllm",
        rf"prompt \(length \d+\) is longer than the maximum model length of {_N}",
        "The decoder prompt (length 2300) is longer than the maximum model length of 2048. Make "
        "sure that `max_model_len` is no smaller than the number of text tokens.",
        2048,
    ),
    _row(
        "vllm",
        rf"prompt \(\d+ tokens\) is too long and exceeds (?:limit of {_N}|the capacity)",
        "Input prompt (5000 tokens) is too long and exceeds limit of 4096",
        4096,
    ),
    _row(
        "sglang",
        rf"longer than the model'?s context length(?: \(| of )?{_N}?",
        "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
        40960,
    ),
    _row(
        "sglang",
        rf"exceeds the maximum allowed (?:input )?length(?: of)? \(?{_N}",
        "Input length (5000 tokens) exceeds the maximum allowed length (4095 tokens). Use a "
        "shorter input or enable --allow-auto-truncate.",
        4095,
    ),
    _row(
        "sglang",
        rf"exceeds the model'?s maximum context length of {_N}",
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You "
        "requested a total of 5120 tokens: 4608 tokens from the input messages and 512 tokens for "
        "the completion.",
        4096,
    ),
    _row(
        "llama.cpp",
        rf"exceeds? the available context size(?: \({_N})?",
        "request (2300 tokens) exceeds the available context size (2048 tokens), try increasing it",
        2048,
    ),
    _row(
        "llama-cpp-python",
        rf"exceed context window of {_N}",
        "Requested tokens (9437) exceed context window of 8192",
        8192,
    ),
    _row(
        "tgi",
        rf"`?inputs`? tokens \+ `?max_new_tokens`? must be <= {_N}",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 8740 "
        "`inputs` tokens and 500 `max_new_tokens`",
        4096,
    ),
    _row(
        "tgi",
        rf"`?inputs`? must have less than {_N} tokens",
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168",
        1024,
    ),
    _row(
        "tensorrt-llm",
        rf"exceeds maximum input length \({_N}\)",
        "Prompt length (5000) exceeds maximum input length (4096). Set log level to info and check "
        "TRTGptModel logs for how maximum input length is set",
        4096,
    ),
    _row(
        "tensorrt-llm",
        rf"should not exceed max_(?:num_tokens|seq_len|input_len) \({_N}\)",
        "The sum of prompt length (9000.0) and query length (0) should not exceed max_num_tokens "
        "(8192)",
        8192,
    ),
    _row(
        "ollama",
        r"prompt too long; exceeded (?:max )?context length",
        "prompt too long; exceeded max context length by 5000 tokens",
    ),
    _row(
        "ollama",
        r"input length exceeds (?:the |maximum )*context length",
        "the input length exceeds the context length",
    ),
    _row(
        "lm-studio",
        rf"context length of only {_N} tokens",
        "Trying to keep the first 111490 tokens when context the overflows. However, the model is "
        "loaded with context length of only 32768 tokens, which is not enough. Try to load the "
        "model with a larger context length, or provide a shorter input.",
        32768,
    ),
    _row(
        "lm-studio",
        rf"greater than the context length(?: \(\D{{0,20}}{_N})?",
        "The number of tokens to keep from the initial prompt is greater than the context length.",
    ),
    _row(
        "lm-studio",
        rf"reached context length of {_N} tokens",
        "Reached context length of 32000 tokens with model (arch: gpt-oss) that does not currently "
        "support mid-generation context overflow.",
        32000,
    ),
    _row(
        "openai",
        r"exceeds the context window",
        "Your input exceeds the context window of this model. Please adjust your input and try "
        "again.",
    ),
    _row(
        "openai",
        rf"input tokens exceed the configured limit of {_N}",
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in "
        "509178 tokens. Please reduce the length of the messages.",
        272000,
    ),
    _row(
        "openai",
        r"\.content': string too long",
        "Invalid 'messages[0].content': string too long. Expected a string with maximum length "
        "10485760, but got a string with length 12000000 instead.",
    ),
    # One request over the rate that a minute may have: waiting does not help. Groq too.
    _row(
        "openai",
        rf"request too large for .{{1,300}}limit:? {_N}, requested",
        "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, "
        "Requested 40000. The input or output tokens must be reduced in order to run successfully.",
        30000,
    ),
    _row(
        "groq",
        r"reduce the length of the messages",
        "Please reduce the length of the messages or completion.",
    ),
    _row(
        "openrouter",
        rf"maximum context length is {_N} tokens",
        "This endpoint's maximum context length is 131072 tokens. However, you requested about "
        "150000 tokens (149000 of text input, 1000 in the output).",
        131072,
    ),
    _row(
        "litellm",
        r"ContextWindowExceededError",
        "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: "
        "OpenAIException - too long",
    ),
    _row(
        "anthropic",
        rf"prompt is too long(?:: \d+ tokens > {_N})?",
        "prompt is too long: 233153 tokens > 200000 maximum",
        200000,
    ),
    _row(
        "anthropic",
        rf"exceed context limit(?:: \d+ \+ \d+ > {_N})?",
        "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000, decrease "
        "input length or `max_tokens` and try again",
        200000,
    ),
    _row(
        "gemini",
        rf"exceeds the maximum number of tokens allowed(?: \({_N})?",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        1048575,
    ),
    _row(
        "bedrock",
        r"input is too long for requested model",
        "ValidationException: Input is too long for requested model.",
    ),
    _row(
        "mistral",
        rf"too large for model with {_N} maximum context length",
        "Prompt contains 140000 tokens and 0 draft tokens, too large for model with 131072 maximum "
        "context length",
        131072,
    ),
    _row(
        "xai",
        rf"maximum prompt length is {_N}",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        131072,
    ),
    _row(
        "cohere",
        rf"number of tokens in the prompt cannot exceed {_N}",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
        4081,
    ),
    _row(
        "dashscope",
        rf"range of input length should be \[\d+, ?{_N}\]",
        "Range of input length should be [1, 129024]",
        129024,
    ),
    _row(
        "moonshot",
        rf"exceeded model token limit: {_N}",
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)",
        262144,
    ),
    _row(
        "minimax",
        r"context window exceeds limit",
        "invalid params, context window exceeds limit",
    ),
    _row(
        "copilot",
        rf"prompt token count of \d+ exceeds the limit of {_N}",
        "prompt token count of 130000 exceeds the limit of 128000",
        128000,
    ),
    _row(
        "any",
        rf"configured context size is {_N}",
        "Prompt has 70,000 tokens, but the configured context size is 65,536 tokens",
        65536,
    ),
)

# A server without a row: words for what is too much, and words for how. Asked only of 400, 413 and
# 422, and never where it is a rate, which passes.
MUCH = re.compile(r"\b(?:context|prompt|input|inputs|sequence|messages?|tokens?)\b", re.IGNORECASE)
TOO_MUCH = re.compile(
    r"too (?:long|large|big|many)|exceed|(?:longer|greater|larger|more) than|over (?:the|its) limit"
    r"|overflow|out of range|does not fit|reduce (?:the|your) (?:length|size)",
    re.IGNORECASE,
)
A_RATE = re.compile(
    r"\brate\b|per (?:second|min|hour|day)|quota|throttl|too many requests|please wait|concurren"
    r"|temperature|top_p|penalty",
    re.IGNORECASE,
)

# ``error.param``, and ``error.code`` or ``error.type``, that say too long by themselves.
TOO_LONG_PARAMS = frozenset({"input_tokens", "input_text"})  # vLLM
TOO_LONG_CODES = frozenset(
    {
        "context_length_exceeded",  # OpenAI, llama-cpp-python
        "exceed_context_size_error",  # llama.cpp, with 400 or 500
        "string_above_max_length",  # OpenAI
        "request_too_large",  # Anthropic
        "model_context_window_exceeded",  # z.ai
        "contextwindowexceedederror",  # LiteLLM
        "max_input_tokens",  # Gemini by gateways
    }
)
# Where an error says how long a prompt may be.
LIMIT_FIELDS = ("n_ctx", "max_model_len", "max_context_length", "context_length")
