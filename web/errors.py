"""Every error leaves as RFC 9457 problem+json; on /v1/* as the OpenAI error object."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from tickertape.errors import (
    InvalidRecord,
    OutageError,
    PermanentError,
    StoreError,
    TooLarge,
    TransientError,
)
from web.routes import Handler

log = logging.getLogger(__name__)

RETRY_SECONDS = 5  # where the dependency did not say
ERRORS_SHOWN = 20  # of the wrong fields of one request


class Problem(Exception):
    """An answer that is an error. ``members`` become extension members of the problem."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(detail)


def unavailable(detail: str, retry_after: float | None = None, **members: Any) -> Problem:
    """Return a 503 that says when to come again (seconds)."""
    seconds = RETRY_SECONDS if retry_after is None else max(1, math.ceil(retry_after))
    return Problem(503, detail, headers={"Retry-After": str(seconds)}, **members)


def invalid(errors: list[tuple[str, str]]) -> Problem:
    """Return a 422 that names each wrong field and what was expected of it."""
    shown = errors[:ERRORS_SHOWN]
    listed = [{"field": field, "message": message} for field, message in shown]
    others = ", ".join(dict.fromkeys(field for field, _ in shown[1:]))
    more = f" (and {others})" if others else ""
    return Problem(422, f"{errors[0][0]}: {errors[0][1]}{more}", errors=listed)


def problem_of(error: Exception) -> Problem:
    """Return the problem that an exception is for whoever asked."""
    match error:
        case Problem():
            return error
        case web.HTTPException():
            return _of_aiohttp(error)
        case InvalidRecord():
            message = str(error).removeprefix(f"{error.field}: ")
            return invalid([(error.field, message)])
        case TooLarge():
            return Problem(413, str(error))
        case PermanentError():
            return Problem(422, str(error))
        case OutageError():
            return unavailable(str(error), error.retry_after, dependency=error.dependency)
        case StoreError() | TransientError():
            return unavailable(str(error))
    ticket = uuid.uuid4()
    # The traceback stays here; the answer only says where to look.
    log.error("request failed, urn:uuid:%s", ticket, exc_info=error)
    return Problem(500, "An unexpected error; the log has it.", instance=f"urn:uuid:{ticket}")


def response_of(request: web.BaseRequest, problem: Problem) -> web.Response:
    """Return the problem as this path's clients expect it."""
    phrase = HTTPStatus(problem.status).phrase
    if request.path.startswith("/v1/"):
        body: dict[str, Any] = {"error": _openai(problem)}
        media = "application/json"
    else:
        body = {
            "type": "about:blank",
            "title": phrase,
            "status": problem.status,
            "detail": problem.detail,
            "instance": request.path,
            **problem.members,
        }
        media = "application/problem+json"
    return web.Response(
        status=problem.status,
        body=orjson.dumps(body, default=str),
        content_type=media,
        headers=problem.headers,
    )


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception into a problem."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return response_of(request, problem_of(error))
    except ConnectionResetError:
        raise  # the client went away: nobody to answer
    except Exception as error:
        return response_of(request, problem_of(error))


def _of_aiohttp(error: web.HTTPException) -> Problem:
    allow = error.headers.get("Allow")
    details = {
        404: "There is nothing at this path; /docs lists what there is.",
        405: f"This path takes {allow}.",
    }
    detail = details.get(error.status) or error.text or error.reason
    return Problem(error.status, detail, headers={"Allow": allow} if allow else None)


def _openai(problem: Problem) -> dict[str, Any]:
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    kind = "rate_limit_error" if problem.status == 429 else kind
    errors = problem.members.get("errors")
    return {
        "message": problem.detail,
        "type": kind,
        "param": errors[0]["field"] if errors else None,
        "code": str(problem.members["code"]) if "code" in problem.members else None,
    }
