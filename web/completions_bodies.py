"""Chat completions as OpenAI's clients ask for them, as far as an answer from documents goes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from web.ask_bodies import AskAnswer
from web.body import Answer, Body
from web.fields import Whole

MESSAGES_MAX = 1000
_TEXT_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}


def _text(value: object) -> object:
    """A text, or parts of one, as one text.

    Raises:
        ValueError: a part is none, such as an image.
    """
    if value is None:
        return ""
    if not isinstance(value, list):
        return value
    texts = []
    for part in value:
        if not isinstance(part, dict) or part.get("type") not in ("text", "input_text"):
            raise ValueError("expected text alone; images, sound and files are not read")
        if not isinstance(text := part.get("text"), str):
            raise ValueError("expected a text in each part")
        texts.append(text)
    return "\n".join(texts)


Content = Annotated[
    str,
    BeforeValidator(_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _TEXT_PART}]}),
]


class Message(Body):
    """What one side said."""

    model_config = ConfigDict(extra="ignore")  # a client sends back what it got

    role: Literal["system", "developer", "user", "assistant"]
    content: Content = ""


class StreamOptions(Body):
    """How it is streamed."""

    include_usage: bool | None = Field(None, description="A last chunk with the tokens.")


def _one(value: int | None) -> int | None:
    if value not in (None, 1):
        raise ValueError("expected 1: there is one answer")
    return value


def _none(value: object) -> object:
    if value:
        raise ValueError("expected none: nothing is called while it answers")
    return value


def _plain(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value and value.get("type") != "text":
        raise ValueError("expected text: an answer with its sources is no JSON")
    return value


_NULL = {"type": "null"}
_PLAIN = {"type": "object", "properties": {"type": {"const": "text"}}}
One = Annotated[Whole | None, AfterValidator(_one), WithJsonSchema({"enum": [1, None]})]
Nothing = Annotated[
    list[Any] | None,
    AfterValidator(_none),
    WithJsonSchema({"anyOf": [{"type": "array", "maxItems": 0}, _NULL]}),
]
PlainText = Annotated[
    dict[str, Any] | None,
    AfterValidator(_plain),
    WithJsonSchema({"anyOf": [{**_PLAIN, "required": ["type"]}, _NULL]}),
]
Ignored = Annotated[Any, WithJsonSchema({})]


class CompletionBody(Body):
    """Messages, of which the last is answered from the stored passages."""

    model: str = Field(min_length=1, description="A name that GET /v1/models lists.")
    messages: list[Message] = Field(min_length=1, max_length=MESSAGES_MAX)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = Field(None, ge=1, le=32_768, description="Of the answer.")
    max_completion_tokens: Whole | None = Field(None, ge=1, le=32_768)
    n: One = None
    tools: Nothing = None
    functions: Nothing = None
    response_format: PlainText = None
    temperature: Ignored = Field(None, description="Taken and not used, as all below.")
    top_p: Ignored = None
    stop: Ignored = None
    seed: Ignored = None
    presence_penalty: Ignored = None
    frequency_penalty: Ignored = None
    logit_bias: Ignored = None
    logprobs: Ignored = None
    top_logprobs: Ignored = None
    tool_choice: Ignored = None
    function_call: Ignored = None
    parallel_tool_calls: Ignored = None
    reasoning_effort: Ignored = None
    service_tier: Ignored = None
    store: Ignored = None
    metadata: Ignored = None
    user: Ignored = None


class UrlCitation(Answer):
    """Where a document is to be found."""

    url: str
    title: str


class Annotation(Answer):
    """A source as chat windows show it."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class CompletionMessage(Answer):
    """The answer, with ``[n]`` for its sources."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[Annotation]


class Choice(Answer):
    """The one answer."""

    index: int
    message: CompletionMessage
    logprobs: None
    finish_reason: Literal["stop", "length"]


class CompletionUsage(Answer):
    """Tokens of the language model; 0 where there is none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class SearchResultItem(Answer):
    """A source as other servers tell it."""

    title: str
    url: str
    date: str | None
    snippet: str


class Completion(Answer):
    """OpenAI's object, and the sources in fields beside it that other clients pass over."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage
    citations: list[str] = Field(description="Addresses of the sources, in their order.")
    search_results: list[SearchResultItem]
    tickertape: AskAnswer = Field(description="What POST /v1/ask answers.")
