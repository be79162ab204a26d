"""What a webhook sends, and what is answered."""

from __future__ import annotations

from pydantic import ConfigDict

from web.body import Answer, Body


class HookBody(Body):
    """Whatever the sender sends; the source's mapping says where its documents are."""

    model_config = ConfigDict(extra="allow")


class Delivered(Answer):
    """Kafka has what was delivered."""

    message: str
    ids: list[str]
