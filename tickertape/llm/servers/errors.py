"""What the words of an error stand for, and where servers tell their limits."""

from __future__ import annotations

import re

# Where /models says how long the context is. LM Studio: the loaded one stands before the greatest.
CONTEXT_FIELDS = (
    "max_model_len",  # vLLM, SGLang
    "loaded_context_length",  # LM Studio
    "context_length",  # OpenRouter, Together
    "context_window",  # Groq
    "max_context_length",  # Mistral, LM Studio
    "max_input_tokens",  # LiteLLM
    "n_ctx",  # llama.cpp, in ``meta``
)

# A 400 that is about the settings, in words or by its code: what status says the same. Every
# document would be answered so.
SETTING_OF: tuple[tuple[re.Pattern[str], int], ...] = (
    (
        # Gemini: "API key not valid. Please pass a valid API key."
        re.compile(
            r"\bapi[ _-]?key[ _](?:is )?(?:not valid|invalid|missing|expired)", re.IGNORECASE
        ),
        401,
    ),
    (
        # OpenRouter: "mistral/x is not a valid model ID"; Mistral: "Invalid model: x"
        re.compile(
            r"\bnot a valid model\b|\binvalid model\b|\bunknown model\b|\bmodel_not_found\b"
            r"|\bmodel \S{1,200} (?:does not exist|not found|is not (?:found|supported|available))",
            re.IGNORECASE,
        ),
        404,
    ),
    # OpenAI: newer models take neither ``max_tokens`` nor a ``temperature``
    (re.compile(r"\bunsupported_(?:parameter|value)\b"), 406),
)

# What an error without an HTTP status of its own (in an answer of 200, or a stream) stands for, by
# words of ``error.code``, ``error.type`` or ``error.status``. The first that is in them wins.
STATUS_OF: tuple[tuple[str, int], ...] = (
    ("insufficient_quota", 402),
    ("billing", 402),
    ("rate_limit", 429),
    ("ratelimit", 429),
    ("too_many_requests", 429),
    ("resource_exhausted", 429),  # Gemini
    ("throttl", 429),  # Bedrock, DashScope
    ("overloaded", 503),  # Anthropic
    ("unavailable", 503),
    ("model_not_found", 404),
    ("not_found", 404),
    ("invalid_api_key", 401),
    ("authentication", 401),
    ("unauthorized", 401),
    ("permission", 403),
    ("timeout", 504),
    ("invalid_request", 400),
    ("bad_request", 400),
    ("badrequest", 400),
)
