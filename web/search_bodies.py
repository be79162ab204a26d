"""What is asked of the stored passages, and what is answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from tickertape.search import GROUP_MAX, NEIGHBOURS_MAX
from web.body import Answer, Body
from web.fields import Filters, Flag, Question, Whole

SECOND_NAMES = (("query", "q"), ("k", "n_results"))


def _short_names(schema: dict[str, Any]) -> None:
    """Document the second names of a search's fields; one of query and q must be there."""
    fields = schema["properties"]
    fields["q"] = {**fields["query"], "description": "The same as query."}
    fields["n_results"] = {**fields["k"], "description": "The same as k."}
    schema.pop("required", None)
    schema["oneOf"] = [{"required": ["query"]}, {"required": ["q"]}]
    schema["not"] = {"required": ["k", "n_results"]}
    schema["examples"] = [{"query": "revenue guidance", "k": 5, "mode": "hybrid", "filters": {}}]


def _query_names(schema: dict[str, Any]) -> None:
    """In a query string q is the name that is documented: there is no "one of" for parameters."""
    fields = schema["properties"]
    first = {"q": {**fields.pop("query"), "description": "Look for this. Also named query."}}
    fields["k"] = {**fields["k"], "description": "How many results. Also named n_results."}
    schema["properties"] = first | fields
    schema["required"] = ["q"]


class SearchBody(Body):
    """A question to the stored passages. ``q`` is ``query``, ``n_results`` is ``k``."""

    model_config = ConfigDict(json_schema_extra=_short_names)

    query: Question = Field(
        description="Look for this.", validation_alias=AliasChoices("query", "q")
    )
    k: Whole = Field(
        5,
        ge=1,
        le=100,
        description="How many results.",
        validation_alias=AliasChoices("k", "n_results"),
    )
    mode: Literal["hybrid", "dense", "keyword"] = "hybrid"
    filters: Filters = Field(
        default_factory=dict,
        description="Metadata fields that must equal the value, or one of a list, or pass all of "
        "an object of gte, gt, lte, lt (a number or a date) and contains (part of a text); "
        "a dotted name reaches into nested metadata.",
    )
    collection: str | None = None
    per_document: bool = Field(False, description="At most one passage a document, its best.")
    group: Whole = Field(
        0,
        ge=0,
        le=GROUP_MAX,
        description="By document: its best passage, and with it so many others of it.",
    )
    reading: Literal["prefer", "filter", "off"] = Field(
        "prefer",
        description="What is made of the company, period and form that the question names: "
        "preferred, all else left out, or nothing.",
    )
    neighbours: Whole = Field(
        0,
        ge=0,
        le=NEIGHBOURS_MAX,
        description="So many passages before and after each that is found.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, given: Any) -> Any:
        for first, second in SECOND_NAMES if isinstance(given, dict) else ():
            if first in given and second in given:
                raise ValueError(f"expected {first} or {second}, not both")
        return given


class SearchQuery(SearchBody):
    """The same as a query string."""

    model_config = ConfigDict(json_schema_extra=_query_names)

    per_document: Flag = Field(False, description="At most one passage a document, its best.")


class Other(Answer):
    """A further passage of a document that was found."""

    score: float
    text: str
    excerpt: str
    chunk: int


class Passage(Answer):
    """A passage that was found. ``dense`` and ``keyword`` are null where that side missed it."""

    id: str
    collection: str
    score: float = Field(
        description="Cosine, BM25, or (hybrid) how well it answers, from 0 to 1: the same for a "
        "passage and a question whatever else was found."
    )
    dense: float | None
    keyword: float | None
    text: str
    excerpt: str = Field(description="The part that answers, of whole words, on one line.")
    chunk: int
    chunk_count: int
    metadata: dict[str, Any]
    summary: str | None = Field(description="Of its document, where there is one.")
    others: list[Other] = Field(description="Of the same document, where ``group`` asks for them.")
    before: list[str] = Field(description="What stands before it, where ``neighbours`` asks.")
    after: list[str]


class Read(Answer):
    """What the question was found to name, of what is stored."""

    companies: list[str]
    periods: list[str]
    forms: list[str]


class Results(Answer):
    """The best first; none where nothing answers."""

    query: str
    mode: str
    read: Read
    results: list[Passage]
    took_ms: float
