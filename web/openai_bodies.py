"""What OpenAI's clients send and expect, as far as Tickertape takes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from tickertape.text import VISIBLE_PATTERN, blank
from web.body import Answer, Body
from web.fields import Whole

INPUTS_MAX = 2048  # of a request, as OpenAI's
_TEXT = {"type": "string", "minLength": 1, "pattern": VISIBLE_PATTERN}


def _texts(value: object) -> object:
    """One text or several, as a list. Which of them is wrong, and what it should be, is told.

    Raises:
        ValueError: it is neither.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise ValueError("expected a text or a list of texts")
    if len(texts) > INPUTS_MAX:
        raise ValueError(f"expected at most {INPUTS_MAX} texts, got {len(texts)}")
    for place, text in enumerate(texts):
        if isinstance(text, int | list) and not isinstance(text, bool):
            raise ValueError(
                "expected texts, got token ids, which mean something else to this model's "
                "tokenizer; of LangChain's OpenAIEmbeddings set check_embedding_ctx_length=False"
            )
        if not isinstance(text, str) or blank(text):
            raise ValueError(f"expected a text that is not empty as number {place}")
    return texts


Texts = Annotated[
    list[str],
    BeforeValidator(_texts),
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": INPUTS_MAX},
            ]
        }
    ),
]


def _cut(value: int) -> int:
    if value != -1 and value < 1:
        raise ValueError("expected -1, or at least 1")
    return value


Cut = Annotated[
    Whole,
    AfterValidator(_cut),
    WithJsonSchema({"anyOf": [{"const": -1}, {"type": "integer", "minimum": 1}]}),
]


class EmbeddingsBody(Body):
    """Texts to embed."""

    model: str = Field(min_length=1, description="A name that GET /v1/models lists.")
    input: Texts = Field(description="A text, or a list of them.")
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="float, unless this says base64: float32, little endian."
    )
    dimensions: Whole | None = Field(
        None, description="The model's own number and no other: it was not trained for less."
    )
    user: str | None = Field(None, description="Taken and not used.")
    truncate_prompt_tokens: Cut | None = Field(
        None,
        description="Cut longer texts to so many tokens, -1: to what the model takes (vLLM's "
        "field). Without it a text that is too long is refused.",
    )


class EmbeddingItem(Answer):
    """The vector of one text."""

    object: Literal["embedding"]
    index: int = Field(description="Which text, from 0.")
    embedding: list[float] | str


class EmbeddingsUsage(Answer):
    """What was read, in the model's tokens."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Answer):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingsUsage


class ModelItem(Answer):
    """A model."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Epoch seconds: when this worker started to serve it.")
    owned_by: str
    max_model_len: int | None = Field(
        description="Tokens of a text, the model's own marks included; null: it does not embed."
    )
    dimension: int | None


class ModelList(Answer):
    """The models that /v1 paths take."""

    object: Literal["list"]
    data: list[ModelItem]


class OpenAiError(Answer):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiErrorAnswer(Answer):
    """OpenAI's error object."""

    error: OpenAiError
