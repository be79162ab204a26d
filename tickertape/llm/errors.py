"""What an OpenAI-compatible server's refusal means for the record that asked. Pure.

Bodies come in many shapes: vLLM's ``{"error": {...}}``, ``{"error": "Unauthorized"}``, FastAPI's
``{"detail": ...}``, Gemini's list of one, a gateway's HTML, nothing. ``type`` is not stable in
vLLM, so an answer is classified by what says "too long" (`tickertape.llm.servers`), then by its
status. Under a status of 200 the error's own words tell the status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

import httpx
import orjson

from tickertape.errors import OutageError, Rejected, TickertapeError, Timeout, TransientError
from tickertape.llm.base import DEPENDENCY
from tickertape.llm.servers.errors import SETTING_OF, STATUS_OF
from tickertape.llm.servers.too_long import (
    A_RATE,
    LIMIT_FIELDS,
    MUCH,
    TOO_LONG,
    TOO_LONG_CODES,
    TOO_LONG_PARAMS,
    TOO_MUCH,
)

RETRY_AFTER_SECONDS_MAX = 300.0
MESSAGE_CHARACTERS_MAX = 300

# What is wrong with the settings is wrong for every document: the flow is held until it is
# mended, for as dead letters the whole backlog would have to be replayed by hand.
_SETTING_AT_FAULT = {
    401: "the key is missing or wrong; see LLM_API_KEY",
    402: "the account has no credit left",
    403: "the key may not use this model; see LLM_API_KEY and MODEL_NAME",
    404: "no such model or path; see MODEL_NAME and LLM_URL",
    405: "this is not a chat completions path; see LLM_URL",
    406: "the model does not take what each request asks of it; see MODEL_NAME",
    407: "the proxy asks for credentials",
}
_TRANSIENT_4XX = frozenset({409, 424, 425})  # 424: TGI, where its model failed
_OVERLOADED = frozenset({429, 503, 529})  # 529: Anthropic's, and gateways before it
_UNKNOWN_WORDS = frozenset({400, 413, 422})  # a server without a row says too long with these
_SAID_CHARACTERS_MAX = 4000  # of a message, where its words are looked at


class PromptTooLong(Rejected):
    """The prompt does not fit the model's context of ``limit`` tokens (None: not told).

    ``silent``: the server did not say so, and answered for a part of the prompt.
    """

    def __init__(self, message: str, limit: int | None, *, silent: bool = False) -> None:
        self.limit = limit
        self.silent = silent
        super().__init__(message)


class NoAnswer(TransientError):
    """The model thought, and gave no answer; ``cut`` where it was ended at ``max_tokens``.

    ``completion_tokens`` is what the thinking took; 0, as ``prompt_tokens``, where not told.
    """

    def __init__(
        self, message: str, *, cut: bool, prompt_tokens: int, completion_tokens: int
    ) -> None:
        self.cut = cut
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        super().__init__(message, dependency=DEPENDENCY)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a body says is wrong; empty strings where it does not say.

    ``said`` is the message for its words, up to 4,000 characters; `message` is for people.
    """

    said: str = ""
    param: str = ""
    code: str = ""
    kind: str = ""
    limit: int | None = None  # how many tokens a prompt may have, where a field tells

    @property
    def message(self) -> str:
        """The message, short and on one line."""
        text = self.said
        return (
            text if len(text) <= MESSAGE_CHARACTERS_MAX else f"{text[:MESSAGE_CHARACTERS_MAX]}..."
        )

    @classmethod
    def read(cls, body: bytes, key: str = "") -> Refusal:
        """Read a body of any shape. ``key`` is masked: servers repeat the one they refuse."""
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            text = re.sub(rb"<[^>]{0,200}>", b" ", body[:_SAID_CHARACTERS_MAX])
            return cls(_plain(text.decode("utf-8", "replace"), key))
        return cls.of(content, key)

    @classmethod
    def of(cls, content: object, key: str = "") -> Refusal:
        """Read a decoded body, or the error in it."""
        if isinstance(content, list) and content:
            content = content[0]
        if not isinstance(content, dict):
            return cls(_plain(str(content), key))
        error = content.get("error") or content.get("detail") or content
        if isinstance(error, dict) and isinstance(error.get("error"), dict):
            error = error["error"]
        if not isinstance(error, dict):
            return cls(_plain(str(error), key), kind=_word(content, "error_type", "type"))
        message = str(error.get("message") or error.get("detail") or error.get("error") or "")
        metadata = error.get("metadata")
        if isinstance(metadata, dict) and metadata.get("raw"):
            message = f"{message}: {metadata['raw']}"  # OpenRouter: what its upstream said
        limits = (error.get(name) for name in LIMIT_FIELDS)
        return cls(
            _plain(message, key),
            _word(error, "param"),
            _word(error, "code"),
            _word(error, "type", "status"),
            next((n for n in limits if type(n) is int and n > 0), None),
        )

    @property
    def status(self) -> int:
        """The HTTP status that it stands for, where it came without one; 500 if it does not say."""
        if self.code.isascii() and self.code.isdigit() and 400 <= int(self.code[:9]) < 600:
            return int(self.code)
        words = f"{self.code} {self.kind}".lower()
        return next((status for word, status in STATUS_OF if word in words), 500)


def answer_error(
    status: int, refusal: Refusal, headers: Mapping[str, str], model: str
) -> TickertapeError:
    """Return the error that a status other than 200 stands for. ``headers``: keys in lower case."""
    said = f"llm: HTTP {status}" + (f": {refusal.message}" if refusal.message else "")
    wait = retry_after(headers.get("retry-after"))
    long, limit = too_long(status, refusal)
    if long:
        return PromptTooLong(said, limit)
    if status in _OVERLOADED:
        return OutageError(said, dependency=DEPENDENCY, retry_after=wait)
    if status in (400, 422):
        status = _meant(status, refusal)
    if status in _SETTING_AT_FAULT or 300 <= status < 400:
        hint = _SETTING_AT_FAULT.get(status, "the server redirects; see LLM_URL")
        text = f"{said} (model {model}: {hint})"
        return OutageError(text, dependency=DEPENDENCY, retry_after=wait)
    if status == 408:
        return Timeout(said, dependency=DEPENDENCY)
    if 400 <= status < 500 and status not in _TRANSIENT_4XX:
        return Rejected(said)
    return TransientError(said, dependency=DEPENDENCY)


def transport_error(error: httpx.TransportError, host: str) -> TickertapeError:
    """Return what a failed exchange stands for."""
    kind = type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return OutageError(f"llm: no connection to {host} ({kind})", dependency=DEPENDENCY)
    if isinstance(error, httpx.TimeoutException):
        return Timeout(f"llm: no answer from {host} in time ({kind})", dependency=DEPENDENCY)
    return TransientError(f"llm: connection to {host} lost ({kind})", dependency=DEPENDENCY)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Read Retry-After, seconds or an HTTP date; None where absent or unreadable; 0 to 300."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX) if isfinite(seconds) else None


def too_long(status: int, refusal: Refusal) -> tuple[bool, int | None]:
    """Return whether the prompt was too long, and for how many tokens where that is told."""
    words = {refusal.code.lower(), refusal.kind.lower()}
    found = [match for row in TOO_LONG if (match := row.says.search(refusal.said))]
    known = (
        bool(found)
        or status == 413
        or refusal.param in TOO_LONG_PARAMS
        or not words.isdisjoint(TOO_LONG_CODES)
    )
    if not known and status in _UNKNOWN_WORDS and not A_RATE.search(refusal.said):
        known = bool(MUCH.search(refusal.said) and TOO_MUCH.search(refusal.said))
    limits = (match["limit"] for match in found if "limit" in match.re.groupindex)
    limit = next((int(number.replace(",", "")) for number in limits if number), None)
    return known, refusal.limit or limit if known else None


def _meant(status: int, refusal: Refusal) -> int:
    """Return the status that says what a refusal says, where it is the settings' fault."""
    if refusal.param == "model":
        return 404
    words = f"{refusal.code} {refusal.said}"
    return next((other for says, other in SETTING_OF if says.search(words)), status)


def _word(fields: Mapping[str, object], *names: str) -> str:
    return next((str(fields[name])[:100] for name in names if fields.get(name) is not None), "")


def _plain(text: str, key: str) -> str:
    text = " ".join(text[:_SAID_CHARACTERS_MAX].split())
    return text.replace(key, "***") if key else text
