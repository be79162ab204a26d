"""What another system posts to ``/hooks/<source>``: a signed JSON body, by a mapping of its fields.

Nothing is read here: a delivery is answered when Kafka has its documents, and its sender sends it
again where it was not. The same delivery twice is the same document.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from tickertape import feed, values
from tickertape.encode import to_json
from tickertape.errors import InvalidRecord, Rejected
from tickertape.sources.base import Bookmark, Description, Page, Row, SourceConfig
from tickertape.sources.fields import labelled, rest, said
from tickertape.text import blank

TOLERANCE_SECONDS = 300.0  # of a signature with a time, as Stripe has it
ITEMS_MAX = 1000  # of one delivery


class WebhookConfig(SourceConfig):
    """``signature`` is how the sender signs with ``secret``; fields are dotted paths."""

    secret: SecretStr = Field(min_length=8)
    signature: Literal["github", "stripe", "hmac-sha256", "token"] = "hmac-sha256"
    header: str | None = None  # of hmac-sha256 and token
    items: str | None = None  # where a list of documents is; else the body is one
    id_field: str | None = None
    text_fields: tuple[str, ...] = ()
    delete_field: str | None = None  # a document is removed where this field
    delete_values: tuple[str, ...] = ()  # has one of these values

    @field_validator("text_fields", "delete_values", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole(self) -> WebhookConfig:
        if self.watch_seconds is not None:
            raise ValueError("watch_seconds: nothing is looked at; deliveries come by themselves")
        if bool(self.delete_field) != bool(self.delete_values):
            raise ValueError("delete_field goes with delete_values")
        if self.delete_field and not self.id_field:
            raise ValueError("delete_field needs id_field: what is removed is known by it")
        return self


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a body holds: documents, and ids of those that are no more, in their order."""

    items: tuple[Row | str, ...]


class WebhookSource:
    """A source that sends."""

    Config = WebhookConfig
    follows = False
    whole = False

    def __init__(self, name: str, config: WebhookConfig) -> None:
        self.name = name
        self.config = config

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def describe(self) -> Description:
        """Where it is posted to."""
        facts = (("signature", self.config.signature), ("text", ", ".join(self.config.text_fields)))
        return Description("webhook", f"POST /hooks/{self.name}", facts)

    async def fingerprint(self) -> str:
        """Raises Rejected: nothing can be looked at."""
        raise Rejected(self._pushed)

    async def count(self, since: Bookmark | None = None) -> int | None:  # noqa: ARG002
        """Not known: what was delivered is in the store."""
        return None

    async def pages(
        self,
        bookmark: Bookmark | None = None,  # noqa: ARG002
        since: Bookmark | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[Page, None]:
        """Raises Rejected: there is nothing to read."""
        nothing: tuple[Page, ...] = ()
        for page in nothing:
            yield page
        raise Rejected(self._pushed)

    @property
    def _pushed(self) -> str:
        return f"{self.name}: it is not read: its documents come by POST /hooks/{self.name}"

    # Deliveries

    def signed(self, body: bytes, headers: Mapping[str, str], now: float | None = None) -> bool:
        """Say whether the sender knows the secret, by the body's signature."""
        config = self.config
        secret = config.secret.get_secret_value().encode()
        if config.signature == "stripe":
            parts = [
                p.strip().partition("=") for p in headers.get("Stripe-Signature", "").split(",")
            ]
            moment = next((value for name, _, value in parts if name == "t"), "")
            if not (moment.isascii() and moment.isdigit() and len(moment) < 15):
                return False
            if abs((time.time() if now is None else now) - int(moment)) > TOLERANCE_SECONDS:
                return False
            wanted = _hmac(secret, moment.encode() + b"." + body)
            return any(_same(value, wanted) for name, _, value in parts if name == "v1")
        if config.signature == "token":
            given = headers.get(config.header or "Authorization", "")
            return _same(given.removeprefix("Bearer "), secret.decode())
        name = "X-Hub-Signature-256" if config.signature == "github" else config.header
        given = headers.get(name or "X-Signature-256", "")
        return _same(given.removeprefix("sha256=").lower(), _hmac(secret, body))

    def read(self, tree: Any) -> Delivery:
        """Return what a body holds.

        Raises:
            InvalidRecord: it is not as the mapping says; names the field.
        """
        found = tree if self.config.items is None else _at(tree, self.config.items)
        items = found if self.config.items is not None else [found]
        if not isinstance(items, list):
            raise InvalidRecord(self.config.items or "body", "an array", values.got(items))
        if len(items) > ITEMS_MAX:
            raise InvalidRecord(self.config.items or "body", f"at most {ITEMS_MAX} documents")
        return Delivery(tuple(self._item(item) for item in items))

    def _item(self, item: Any) -> Row | str:
        config = self.config
        if not isinstance(item, dict):
            raise InvalidRecord(config.items or "body", "an object", values.got(item))
        item = values.tree("body", item)
        id = None
        if config.id_field is not None:
            id = values.identifier(config.id_field, _at(item, config.id_field))
            if id is None:
                raise InvalidRecord(config.id_field, "an id")
        state = _at(item, config.delete_field) if config.delete_field else None
        if state is not None and said(state) in config.delete_values:
            assert id is not None
            return id
        text_fields = config.text_fields or tuple(n for n in feed.TEXT_FIELDS if n in item)[:1]
        text = labelled({path: _at(item, path) for path in text_fields}, text_fields)
        if blank(text):
            raise InvalidRecord(", ".join(text_fields) or "text", "a text")
        plain = {name: value for name, value in item.items() if name not in text_fields}
        return Row(id or feed.content_id(to_json(item)), text, rest(plain, ()))


def _at(tree: Any, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for name in path.split("."):
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(name)
    return tree


def _hmac(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
