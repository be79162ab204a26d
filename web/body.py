"""What users send and what they get, described once: validation and /openapi.json use it. What
all bodies are, and errors; those of a resource stand beside it.

A reply has all of its fields, always; a body may have unknown fields where the topic it goes to
takes them as metadata.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request's body or query. A field that is not named here is refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """A reply. What a newer part of Tickertape adds is passed on."""

    model_config = ConfigDict(extra="allow")


class FieldError(BaseModel):
    """A wrong field."""

    field: str
    message: str


class ProblemAnswer(Answer):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None
