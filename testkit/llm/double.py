"""A server that speaks vLLM's protocol, with faults on demand. No model, no GPU.

In a test::

    async with LlmDouble() as double:
        double.faults += [{"kind": "busy", "retry_after": 7}]
        ... ask double.url, look at double.requests

As a process, steered by ``POST /control`` (the fields of `LlmDouble.control`)::

    python -m testkit.llm.double --port 18000

Each chat request takes the next fault of the queue, else one drawn by ``rates``, else it is
answered: with ``answer``, or as `testkit.llm.engine` says. Kinds are those of
`testkit.llm.bodies.FAULTS` and `LlmDouble.WIRE`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from testkit.llm import bodies, engine

Fault = Mapping[str, Any]  # {"kind": str, "retry_after"?: int | str, "seconds"?: float}


@dataclass(slots=True)
class Seen:
    """One chat request as it came. ``outcome``: open, answered, a fault's kind, disconnected."""

    headers: dict[str, str]
    body: Any
    outcome: str = "open"

    @property
    def prompt(self) -> str:
        """The last message."""
        return str(self.body["messages"][-1]["content"])


@dataclass(slots=True, kw_only=True)
class LlmDouble:
    """The server. ``max_model_len`` counts words and punctuation marks as tokens."""

    model: str = "double"
    max_model_len: int = 8192
    api_key: str | None = None
    tells_models: bool = True  # False: /v1/models is not there, as behind some gateways
    host: str = "127.0.0.1"
    port: int = 0
    faults: deque[Fault] = field(default_factory=deque)
    rates: dict[str, float] = field(default_factory=dict)
    answer: str | None = None
    # How it takes a prompt that is too long: None as vLLM does, else with this answer; "silently"
    # reads its last tokens alone, as Ollama does.
    too_long: bodies.Answer | Literal["silently"] | None = None
    entry: dict[str, Any] = field(default_factory=dict)  # fields of /v1/models, over its own
    content: dict[str, Any] = field(default_factory=dict)  # fields of an answer, instead of its own
    draining: bool = False  # chat answers 500 while /health says 200
    requests: list[Seen] = field(default_factory=list)
    running: int = 0
    running_max: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(0))
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    # Faults of the wire. stream_*: of a stream alone; a plain request gets "reset".
    WIRE = (
        "reset",  # closed without an answer
        "cut_body",  # closed in the middle of the body
        "slow",  # the first byte comes after ``seconds``
        "hold",  # no answer before `release`
        "stream_error",  # an error event under 200, then [DONE]
        "stream_cut",  # ends without finish_reason and [DONE]
        "stream_mid_chunk",  # closed in the middle of an event
        "stream_empty",  # 200 and nothing
        "stream_abort",  # finish_reason abort, then [DONE]
    )

    @property
    def url(self) -> str:
        """The API's root, for LLM_URL."""
        return f"http://{self.host}:{self.port}/v1"

    async def __aenter__(self) -> LlmDouble:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; again at the same port after `stop`."""
        self._released = asyncio.Event()
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_route("*", "/control", self._control)
        app.router.add_route("*", "/{path:.*}", self._absent)
        # handler_cancellation: a client that goes away ends the request, as in vLLM.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections and cut those that are open. Safe to call twice."""
        runner, self._runner = self._runner, None
        self._released.set()
        if runner is not None:
            await runner.cleanup()

    def release(self) -> None:
        """Let the requests that are held go on, and those to come."""
        self._released.set()

    async def until(self, requests: int, outcome: str | None = None) -> None:
        """Wait until so many requests have come (with this outcome); fail after a minute."""
        async with asyncio.timeout(60):
            while sum(outcome in (None, seen.outcome) for seen in self.requests) < requests:
                await self._changed.wait()

    def control(
        self,
        *,
        faults: Iterable[Fault] | None = None,
        rates: Mapping[str, float] | None = None,
        seed: int | None = None,
        answer: str | None = None,
        draining: bool | None = None,
        release: bool = False,
    ) -> None:
        """Change what is given; ``faults`` replaces the queue."""
        known = {*bodies.FAULTS, *self.WIRE}
        wanted = [*(f["kind"] for f in faults or ()), *(rates or ())]
        if unknown := set(wanted) - known:
            raise ValueError(f"unknown faults {sorted(unknown)}; known: {sorted(known)}")
        self.faults = deque(faults) if faults is not None else self.faults
        self.rates = dict(rates) if rates is not None else self.rates
        self.answer = answer if answer is not None else self.answer
        self.draining = self.draining if draining is None else draining
        if seed is not None:
            self._random = random.Random(seed)
        if release:
            self.release()

    def counts(self) -> dict[str, int]:
        """How many requests had which outcome."""
        return dict(Counter(seen.outcome for seen in self.requests))

    # Routes

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.32.0"})

    async def _absent(self, _: web.Request) -> web.Response:
        return _canned(bodies.FAULTS["not_found"])

    async def _models(self, request: web.Request) -> web.Response:
        if not self._may(request):
            return _canned(bodies.UNAUTHORIZED)
        if not self.tells_models:
            return await self._absent(request)
        entry = {
            "id": self.model,
            "object": "model",
            "created": 1_700_000_000,
            "owned_by": "vllm",
            "root": self.model,
            "parent": None,
            "max_model_len": self.max_model_len,
            "permission": [],
        } | self.entry
        return web.json_response({"object": "list", "data": [entry]})

    async def _control(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            try:
                self.control(**await request.json())
            except (TypeError, KeyError, ValueError) as error:
                return web.json_response({"error": str(error)}, status=400)
        state = {
            "counts": self.counts(),
            "faults": len(self.faults),  # not met by a request yet
            "running": self.running,
            "running_max": self.running_max,
        }
        return web.json_response(state)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if not self._may(request):
            return _canned(bodies.UNAUTHORIZED)
        try:
            body = await request.json()
        except ValueError:
            return _canned(bodies.BAD_JSON)
        seen = Seen({k.lower(): v for k, v in request.headers.items()}, body)
        self.requests.append(seen)
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        self._pulse()
        fault = self._fault()
        try:
            response = await self._respond(request, body, fault)
            seen.outcome = fault["kind"] if fault else _outcome(response)
            return response
        except (asyncio.CancelledError, ConnectionError):
            seen.outcome = "disconnected"
            raise
        finally:
            self.running -= 1
            self._pulse()

    async def _respond(
        self, request: web.Request, body: Any, fault: Fault | None
    ) -> web.StreamResponse:
        fault = fault or {}
        kind = str(fault.get("kind", ""))
        streaming = bool(body.get("stream"))
        if kind in bodies.FAULTS:
            return _canned(bodies.FAULTS[kind], fault.get("retry_after"))
        if refused := self._refusal(body):
            return _canned(refused)
        if kind == "hold":
            await self._released.wait()
        if kind == "slow":
            await asyncio.sleep(float(fault.get("seconds", 1)))
        if kind == "reset" or (kind.startswith("stream_") and not streaming):
            return _close(request)
        limit = self.max_model_len
        if self.too_long == "silently":
            body, limit = engine.cut(body, limit), limit * 2  # and moves its window on
        found = engine.generate(body, limit, self.answer)
        more = {"model": self.model, "id": f"chatcmpl-{request.headers.get('X-Request-Id', '1')}"}
        more |= self.content
        if streaming:
            events = engine.events(found, body, kind, more)
            return await _stream(request, events, cut=kind == "stream_mid_chunk")
        content = json.dumps(found.completion(more)).encode()
        if kind == "cut_body":
            response = web.StreamResponse(headers={"Content-Length": str(len(content))})
            await response.prepare(request)
            await response.write(content[: len(content) // 2])
            return _close(request)
        return web.Response(body=content, content_type="application/json")

    def _may(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization")
        return self.api_key is None or given == f"Bearer {self.api_key}"

    def _fault(self) -> Fault | None:
        if self.faults:
            return self.faults.popleft()
        drawn = self._random.random()
        for kind, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                return {"kind": kind}
        return None

    def _refusal(self, body: Any) -> bodies.Answer | None:
        if self.draining:
            return bodies.DRAINING
        refused = engine.refusal(body, self.model, self.max_model_len)
        if refused is None or self.too_long is None or refused.status != 400:
            return refused
        return None if self.too_long == "silently" else self.too_long

    def _pulse(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _outcome(response: web.StreamResponse) -> str:
    return "answered" if response.status == 200 else str(response.status)


def _canned(answer: bodies.Answer, retry_after: object = None) -> web.Response:
    headers = dict(answer.headers)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return web.Response(
        status=answer.status,
        body=answer.body.encode(),
        content_type=answer.content_type,
        headers=headers,
    )


def _close(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _stream(request: web.Request, events: Iterable[str], *, cut: bool) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    response.enable_chunked_encoding()
    await response.prepare(request)
    for event in events:
        await response.write(event.encode())
    return _close(request) if cut else response


async def _serve(double: LlmDouble) -> None:
    async with double:
        print(double.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Run as a process, until it is ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="double")
    parser.add_argument("--max-model-len", type=int, default=8192)
    parser.add_argument("--api-key")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(LlmDouble(**vars(options))))


if __name__ == "__main__":
    main()
