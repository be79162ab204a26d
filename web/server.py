"""The server itself: what is no request that a route could see is refused as a problem too."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from web import guard
from web.errors import Problem, response_of

log = logging.getLogger(__name__)

# A query of 10,000 characters (the limit) is up to 120,000 bytes in a URL.
LINE_BYTES_MAX = 2**17
FIELD_BYTES_MAX = 2**13


class Runner(web.AppRunner):
    """aiohttp's, with longer request lines and with problems instead of text and tracebacks."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        sizes = {"max_line_size": LINE_BYTES_MAX, "max_field_size": FIELD_BYTES_MAX}
        super().__init__(app, **{**sizes, **kwargs})

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server  # the application makes it, and takes no other
        return server


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        handler = super().__call__()
        handler.__class__ = _Protocol
        return handler


class _Protocol(RequestHandler):
    """One connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read. It is the client's mistake, so no error in our log."""
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        log.debug("unreadable request from %s: %s", request.remote, exc)
        response = response_of(request, refusal(exc, message))
        guard.set_headers(response)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """A body that could not be read was answered; aiohttp stumbles over its rest once more."""
        if isinstance(kwargs.get("exc_info"), web.RequestPayloadError):
            log.debug("unreadable body: %s", kwargs["exc_info"])
        else:
            super().log_exception(*args, **kwargs)


def refusal(error: BaseException | None, message: str | None) -> Problem:
    """Return the problem that an unreadable request is."""
    if not isinstance(error, LineTooLong):
        return Problem(400, f"Not an HTTP request that we can read: {first_line(message)}")
    if str(LINE_BYTES_MAX) in str(error):
        return Problem(
            414, f"The request line is over {LINE_BYTES_MAX} bytes: POST /search takes a body."
        )
    return Problem(431, f"A header is over {FIELD_BYTES_MAX} bytes.")


def first_line(message: str | None) -> str:
    """Return what aiohttp says without the bytes that it quotes below."""
    return (message or "bad request").strip().partition("\n")[0].rstrip(":")[:200]
