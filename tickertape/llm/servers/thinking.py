"""Where a model's thinking stands, and what else is around an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Fields of a message that hold thinking apart from the answer.
THINKING_FIELDS = (
    "reasoning_content",  # DeepSeek, vLLM, SGLang, llama.cpp
    "reasoning",  # vLLM, OpenRouter, Groq, Ollama
    "reasoning_details",
    "thinking",  # Ollama, Anthropic by gateways
    "thought",
)
THINKING_PARTS = frozenset({"thinking", "reasoning", "thought", "redacted_thinking"})  # their type


@dataclass(frozen=True, slots=True)
class Thinking:
    """Marks around thinking that stands in the answer itself.

    ``close`` alone ends thinking too, where the server's template has put ``open`` into the prompt.
    """

    family: str
    open: str
    close: str
    close_alone: bool = True


_XML = (
    "think|thinking|thoughts?|thought_process|reasoning|reflection|scratch_?pad|inner_thoughts?"
    "|inner_monologue|seed:think|mm:think|longcat_think"
)
THINKING: tuple[Thinking, ...] = (
    # DeepSeek R1, Qwen, QwQ, GLM, MiniMax; Seed-OSS, LongCat; what gateways make
    # of it, and what prompts and tunings (Reflection) have models write
    Thinking(
        "xml",
        rf"(?:<|&lt;)\s{{0,9}}(?:{_XML})(?:\s[^<>]{{0,200}})?(?:>|&gt;)",
        rf"(?:<|&lt;)\s{{0,9}}/\s{{0,9}}(?:{_XML})\s{{0,9}}(?:>|&gt;)",
    ),
    Thinking("mistral", r"\[THINK\]", r"\[/THINK\]"),
    Thinking("kimi", "\u25c1think\u25b7", "\u25c1/think\u25b7"),
    Thinking("cohere", r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    Thinking("openthinker", r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    Thinking(  # gpt-oss, with its marks and with a server that has dropped them
        "harmony",
        r"<\|channel\|>\s{0,9}(?:analysis|commentary)[^<]{0,100}<\|message\|>|\A\s{0,9}analysis(?=[A-Z])",
        r"<\|channel\|>\s{0,9}final[^<]{0,100}<\|message\|>|assistantfinal",
    ),
    Thinking("gemma", r"<\|channel>\s{0,9}thought", r"<channel\|>"),
    Thinking("medgemma", r"<unused94>", r"<unused95>"),
    Thinking(
        "granite",
        r"Here(?:'s| is) my thought process:?",
        r"Here(?:'s| is) my response:?",
        close_alone=False,
    ),
    Thinking(
        "open-webui",
        r"<details\s[^<>]{0,200}reasoning[^<>]{0,200}>",
        r"</details>",
        close_alone=False,
    ),
)
# Special tokens that a server did not take out.
SPECIAL_TOKENS = re.compile(
    r"<[|\uff5c][^<>|\uff5c\s]{1,40}[|\uff5c]>|</?s>|<(?:end|start)_of_turn>"
)
# What ends a model's turn: what stands behind it is another's, made up.
TURN_ENDS = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|end|end_of_text|endoftext|end_of_turn)\|>|</s>|<end_of_turn>"
)
# An answer in a wrapping of its own.
WRAPPING = re.compile(
    r"\A<(answer|final_answer|final|response|summary|output|notes)>(.*?)(?:</\1>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
