"""What is asked of the stored passages, and what is answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

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


class Passage(Answer):
    """A passage that was found. ``dense`` and ``keyword`` are null where that side missed it."""

    id: str
    collection: str
    score: float = Field(description="Cosine, BM25, or their fusion from 0 to 1.")
    dense: float | None
    keyword: float | None
    text: str
    chunk: int
    chunk_count: int
    metadata: dict[str, Any]


class Results(Answer):
    """The best first."""

    query: str
    mode: str
    results: list[Passage]
    took_ms: float
