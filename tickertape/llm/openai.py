"""OpenAI-compatible chat completions: vLLM, Ollama, llama.cpp, gateways. One request, one outcome.

What each server says is data (`tickertape.llm.servers`); what it means for the record is told by
`errors` for refusals and by `answers` for answers.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from tickertape.errors import (
    Rejected,
    SettingsError,
    TickertapeError,
    Timeout,
    TransientError,
)
from tickertape.llm import answers
from tickertape.llm.base import DEPENDENCY, Completion, Description, Message
from tickertape.llm.errors import PromptTooLong, Refusal, answer_error, transport_error
from tickertape.llm.servers.errors import CONTEXT_FIELDS
from tickertape.llm.servers.thinking import THINKING_FIELDS
from tickertape.llm.thinking import Spoken, opens_unseen
from tickertape.llm.tokens import was_cut
from tickertape.llm.turns import Turns
from tickertape.settings import Settings

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 8 * 2**20  # an answer of a few hundred tokens is some kilobytes
CONNECT_SECONDS_MAX = 10.0
PING_SECONDS_MAX = 10.0
# uvicorn, which serves vLLM, closes an idle connection after 5 s; one used at that very moment
# would be a lost request.
KEEPALIVE_SECONDS = 4.0
DONE = "[DONE]"  # ends a stream
_STREAM_OPTIONS = re.compile(r"stream_options|include_usage|unexpected field", re.IGNORECASE)


class OpenAIModel:
    """Asks one model of one server. The key is in no message, log line or repr.

    Errors of every call: `OutageError` (refused, 429, 503, and settings that are wrong for all:
    401, 403, 404), `Timeout`, `TransientError` (5xx, cut answers, garbage), `Rejected` (400, 422;
    `PromptTooLong` where the prompt does not fit).
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        timeout_seconds: float = 30.0,
        concurrency: int = 8,
        temperature: float = 0.0,
    ) -> None:
        """``url`` is the API's root, usually ending in ``/v1``, as the settings have checked it.
        ``timeout_seconds`` is for one whole answer, from when it is asked; at most ``concurrency``
        are asked at once, fewer where the server shows that it is too much.

        Raises:
            SettingsError: the key cannot be used.
        """
        self.name = model
        self._url = httpx.URL(url)
        self._host = f"{self._url.host}:{self._url.port or self._url.scheme}"
        self._headers = _key_header(key)
        self._key = (key or "").strip()
        self._timeout_seconds = timeout_seconds
        self._concurrency = concurrency
        self._temperature = temperature
        self._turns = Turns(concurrency)
        self._counts = True  # it takes stream_options, as far as is known
        self._opens_unseen: bool | None = None  # thinking begins in its prompt; None: not known
        self._client: httpx.AsyncClient | None = None

    @classmethod
    def create(cls, settings: Settings) -> OpenAIModel:
        """Build from the settings.

        Raises:
            SettingsError: LLM_URL is not set, or LLM_API_KEY cannot be used.
        """
        if settings.llm_url is None:
            raise SettingsError("LLM_URL: expected the root of a server's API, and it is not set")
        key = settings.llm_api_key
        return cls(
            settings.llm_url,
            settings.llm_model,
            key=key.get_secret_value() if key else None,
            timeout_seconds=settings.llm_timeout_seconds,
            concurrency=settings.llm_concurrency,
            temperature=settings.llm_temperature,
        )

    def __repr__(self) -> str:
        return f"OpenAIModel({self._host}, {self.name})"

    async def start(self) -> None:
        """Open the connection pool; nothing is sent."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._url,
                headers=self._headers,
                timeout=httpx.Timeout(
                    self._timeout_seconds, connect=min(CONNECT_SECONDS_MAX, self._timeout_seconds)
                ),
                # One more than slots, for `models`, which must not wait behind slow answers.
                limits=httpx.Limits(
                    max_connections=self._concurrency + 1, keepalive_expiry=KEEPALIVE_SECONDS
                ),
            )

    async def stop(self) -> None:
        """Close the connections. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def models(self) -> list[dict[str, Any]]:
        """Return what the server serves (GET /models); empty where it does not say so."""
        async with (
            self._deadline(min(self._timeout_seconds, PING_SECONDS_MAX)),
            self._exchange("GET", "models") as response,
        ):
            if response.status_code in (404, 405):
                return []  # a gateway without this route is up all the same
            await self._check(response)
            content = _object(await _body(response))
        data = content.get("data")
        return (
            [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
        )

    async def describe(self) -> Description:
        """Ask for the server's models, and learn the context's length where it is told."""
        entries = await self.models()
        # Ollama lists "mistral:latest" where "mistral" is asked for.
        names = {self.name, f"{self.name}:latest"}
        named = [entry for entry in entries if entry.get("id") in names]
        levels = (fields for entry in named for fields in _levels(entry))
        lengths = (fields.get(name) for fields in levels for name in CONTEXT_FIELDS)
        tokens = next((n for n in lengths if type(n) is int and n > 0), None)
        return Description(bool(named) if entries else None, tokens)

    async def complete(self, messages: Sequence[Message], max_tokens: int) -> Completion:
        """Ask, and return the whole answer. Cancelling ends the request at once."""
        request = self._request(messages, max_tokens)
        async with (
            self._turns.turn(),
            self._deadline(self._timeout_seconds),
            self._exchange("POST", "chat/completions", request) as response,
        ):
            await self._check(response)
            content = _object(await _body(response))
        if answers.error_in(content) is not None:
            raise self._error_in(content)
        return await self._read(content, messages, max_tokens)

    async def stream(
        self, messages: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str | Completion, None]:
        """Ask, yield the answer's pieces, and last the whole; close the iterator to end it.

        It ends normally only when the server ended the answer; a cut stream raises. The time
        limit is for each piece: a reader may take its time between two.
        """
        while True:
            request = self._request(messages, max_tokens) | {"stream": True}
            if self._counts:
                request["stream_options"] = {"include_usage": True}
            try:
                async for piece in self._streamed(request, messages, max_tokens):
                    yield piece
                return
            except Rejected as error:  # before the first piece: an older server
                if not (self._counts and _STREAM_OPTIONS.search(str(error))):
                    raise
                self._counts = False

    async def _streamed(
        self, request: dict[str, Any], messages: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str | Completion, None]:
        spoken = Spoken(unseen=self._opens_unseen is not False)
        message: dict[str, Any] = {}
        reason: object = None
        usage: object = None
        ended = False
        async with (
            self._turns.turn(urgent=True),
            self._exchange("POST", "chat/completions", request) as response,
        ):
            await self._check(response)
            async for data in _events(response):
                if data == DONE:  # an end, where the server has not said it otherwise
                    ended |= bool(spoken.text.strip())
                    break
                event = _object(data)
                if answers.error_in(event) is not None:
                    raise self._error_in(event)
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    delta = choice.get("delta") or {}
                    text, apart = answers.parts(delta)
                    if apart:
                        message[THINKING_FIELDS[0]] = True
                    message["refusal"] = delta.get("refusal") or message.get("refusal")
                    if text and (shown := self._shown(spoken, text)):
                        yield shown
                    if found := choice.get("finish_reason"):
                        reason, ended = found, True
        if not ended:
            raise TransientError("llm: the stream ended before the answer", dependency=DEPENDENCY)
        message["content"] = spoken.text
        content = {"choices": [{"message": message, "finish_reason": reason}], "usage": usage}
        completion = await self._read(content, messages, max_tokens)
        if rest := self._shown(spoken, None):
            yield rest
        yield completion

    def _shown(self, spoken: Spoken, piece: str | None) -> str:
        try:
            return spoken.end() if piece is None else spoken.take(piece)
        except ValueError:
            self._opens_unseen = True
            text = "llm: the model's thinking began unseen, and the answer is not to be trusted"
            raise TransientError(text, dependency=DEPENDENCY) from None

    async def _read(
        self, content: Mapping[str, Any], messages: Sequence[Message], max_tokens: int
    ) -> Completion:
        """Read an answer that is no error, and learn how the model thinks."""
        # A long answer, a long prompt: not on the event loop.
        completion = await asyncio.to_thread(answers.read, content, max_tokens)
        if not completion.cut and self._opens_unseen is not True:
            self._opens_unseen = opens_unseen(answers.parts(content["choices"][0]["message"])[0])
        prompt = "".join(message["content"] for message in messages)
        if await asyncio.to_thread(was_cut, prompt, completion.prompt_tokens):
            text = f"llm: the server read only {completion.prompt_tokens} tokens of the prompt"
            raise PromptTooLong(text, completion.prompt_tokens, silent=True)
        return completion

    def _request(self, messages: Sequence[Message], max_tokens: int) -> dict[str, Any]:
        # A lone surrogate, which JSON can carry, is no UTF-8.
        clean = [{k: v.encode("utf-8", "replace").decode() for k, v in m.items()} for m in messages]
        return {
            "model": self.name,
            "messages": clean,
            "max_tokens": max_tokens,
            "temperature": self._temperature,
        }

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, content: object = None
    ) -> AsyncIterator[httpx.Response]:
        """Send, hand out the open response, and map what goes wrong on the wire."""
        await self.start()
        assert self._client is not None
        body = None if content is None else orjson.dumps(content)
        headers = {"Content-Type": "application/json"} if body else None
        try:
            async with self._client.stream(method, path, content=body, headers=headers) as response:
                yield response
        except httpx.TransportError as error:
            raise transport_error(error, self._host) from None
        except (httpx.HTTPError, httpx.StreamError) as error:  # a broken encoding, and the like
            text = f"llm: unreadable answer from {self._host} ({type(error).__name__})"
            raise TransientError(text, dependency=DEPENDENCY) from None

    @asynccontextmanager
    async def _deadline(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            text = f"llm: no answer from {self._host} within {seconds:g} s"
            raise Timeout(text, dependency=DEPENDENCY) from None

    async def _check(self, response: httpx.Response) -> None:
        if response.status_code == 200:
            return
        refusal = Refusal.read(await _body(response), self._key)
        headers = {name.lower(): value for name, value in response.headers.items()}
        raise answer_error(response.status_code, refusal, headers, self.name)

    def _error_in(self, content: Mapping[str, Any]) -> TickertapeError:
        """Return the error that came under a status of 200."""
        refusal = Refusal.of(answers.error_in(content), self._key)
        return answer_error(refusal.status, refusal, {}, self.name)


def _levels(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The entry, and what llama.cpp and gateways put one level deeper."""
    inner = (entry.get(name) for name in ("meta", "model_info", "top_provider"))
    return [entry, *(fields for fields in inner if isinstance(fields, dict))]


def _key_header(key: str | None) -> dict[str, str]:
    key = (key or "").strip()
    if not key:
        return {}
    if not key.isascii() or not key.isprintable():
        # The HTTP library would refuse it later, with the key in its message.
        raise SettingsError("LLM_API_KEY: expected printable ASCII characters")
    return {"Authorization": f"Bearer {key}"}


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            text = f"llm: an answer of over {BODY_BYTES_MAX} bytes"
            raise TransientError(text, dependency=DEPENDENCY)
    return bytes(body)


async def _events(response: httpx.Response) -> AsyncIterator[str]:
    """Yield the data of each server-sent event, `DONE` the last."""
    async for line in response.aiter_lines():
        if line.startswith("data:"):
            data = line[5:].strip()
            yield data
            if data == DONE:
                return


def _object(body: bytes | str) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        text = f"llm: expected a JSON object, got {len(body)} bytes of something else"
        raise TransientError(text, dependency=DEPENDENCY)
    return content
