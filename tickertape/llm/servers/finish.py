"""How an answer ended: finish_reason, in every server's words."""

from __future__ import annotations

import enum


class Finish(enum.Enum):
    """How an answer ended."""

    ENDED = "ended"  # by itself
    CUT = "cut"  # at its length
    FILTERED = "filtered"  # the server withholds it
    BROKEN = "broken"  # it is half of one
    UNSAID = "unsaid"  # the server does not say, or in words of its own: its text has to tell


# finish_reason, in lower case. What is not here is UNSAID.
FINISH: dict[str, Finish] = {
    **dict.fromkeys(
        (
            "stop",
            "eos",  # older SGLang, LMDeploy
            "eos_token",  # TGI, Together
            "stop_sequence",  # TGI, Anthropic by gateways
            "stop_token",
            "stop_string",
            "end_turn",  # Anthropic, Bedrock
            "end_of_turn",
            "endoftext",
            "complete",  # Cohere
            "completed",
            "finished",
            "finish",
            "done",
            "tool_calls",  # none are offered: what text there is, is the answer
            "function_call",
        ),
        Finish.ENDED,
    ),
    **dict.fromkeys(
        (
            "length",
            "max_tokens",  # Anthropic, Gemini, Cohere
            "max_length",
            "max_new_tokens",
            "max_output_tokens",
            "model_length",  # Mistral
            "token_limit",
            "context_length",
            "model_context_window_exceeded",  # z.ai, Anthropic
        ),
        Finish.CUT,
    ),
    **dict.fromkeys(
        (
            "content_filter",
            "content_filtered",  # Bedrock
            "guardrail_intervened",  # Bedrock
            "safety",  # Gemini, and the next four
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "refusal",  # Anthropic
            "sensitive",  # z.ai
            "error_toxic",  # Cohere
        ),
        Finish.FILTERED,
    ),
    **dict.fromkeys(
        (
            "abort",  # a vLLM or SGLang that is being shut down: a cut text under 200
            "aborted",
            "cancel",
            "cancelled",
            "canceled",
            "user_cancel",
            "error",  # OpenRouter, when its upstream died
            "network_error",  # z.ai
            "timeout",
            "load",  # Ollama, loading the model
            "unload",
            "insufficient_system_resource",  # DeepSeek
            "malformed_function_call",  # Gemini
        ),
        Finish.BROKEN,
    ),
}
