"""What an OpenAI-compatible server's refusal means for the record that asked. Pure.

Bodies come in many shapes: vLLM's ``{"error": {...}}``, ``{"error": "Unauthorized"}``, FastAPI's
``{"detail": ...}``, a gateway's HTML, nothing. ``type`` is not stable in vLLM, so an answer is
classified by its status, then by ``param`` and ``code``, then by the message.
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
    407: "the proxy asks for credentials",
}
_TRANSIENT_4XX = frozenset({409, 425})
_TOO_LONG_PARAMS = frozenset({"input_tokens", "input_text"})
_CONTEXT_LIMIT = re.compile(r"(?:maximum context length (?:is|of) |max_model_len=)(\d{1,9})", re.I)


class PromptTooLong(Rejected):
    """The prompt does not fit the model's context of ``limit`` tokens (None: not told)."""

    def __init__(self, message: str, limit: int | None) -> None:
        self.limit = limit
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a body says is wrong; empty strings where it does not say."""

    message: str
    param: str = ""
    code: str = ""

    @classmethod
    def read(cls, body: bytes) -> Problem:
        """Read a body of any shape."""
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            text = re.sub(rb"<[^>]{0,200}>", b" ", body[:4000]).decode("utf-8", "replace")
            return cls(_short(text))
        return cls.of(content)

    @classmethod
    def of(cls, content: object) -> Problem:
        """Read a decoded body."""
        if not isinstance(content, dict):
            return cls(_short(str(content)))
        error = content.get("error", content)
        if not isinstance(error, dict):
            return cls(_short(str(error)))
        message = error.get("message") or error.get("detail") or ""
        return cls(
            _short(str(message)), str(error.get("param") or ""), str(error.get("code") or "")
        )


def answer_error(
    status: int, problem: Problem, headers: Mapping[str, str], model: str
) -> TickertapeError:
    """Return the error that a status other than 200 stands for. ``headers``: keys in lower case."""
    said = f"llm: HTTP {status}" + (f": {problem.message}" if problem.message else "")
    wait = retry_after(headers.get("retry-after"))
    if _too_long(status, problem):
        found = _CONTEXT_LIMIT.search(problem.message)
        return PromptTooLong(said, int(found[1]) if found else None)
    if status in (429, 503):
        return OutageError(said, dependency=DEPENDENCY, retry_after=wait)
    if status == 400 and (problem.param == "model" or problem.code == "model_not_found"):
        status = 404
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


def _too_long(status: int, problem: Problem) -> bool:
    if status == 413:
        return True
    return status == 400 and (
        problem.param in _TOO_LONG_PARAMS
        or problem.code == "context_length_exceeded"
        or "maximum context length" in problem.message.lower()
        or (problem.param == "max_tokens" and "max_model_len" in problem.message)
    )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else f"{text[:MESSAGE_CHARACTERS_MAX]}..."
