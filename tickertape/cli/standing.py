"""How a running worker stands, asked over its own HTTP: its settings may not be this shell's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from tickertape.cli.check import Check
from tickertape.settings import Settings

ANSWER_SECONDS_MAX = 5.0
NO_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - listened on
MENDS = {
    "kafka": "check that the broker runs and that KAFKA_BROKERS of the worker names it",
    "llm": "check LLM_URL, LLM_API_KEY and MODEL_NAME of the worker, and the server",
}


def worker_address(settings: Settings) -> str:
    """Return where a worker of these settings serves its pages."""
    host = NO_HOSTS.get(settings.web_host, settings.web_host)
    return f"http://{host}:{settings.web_port or 6066}"


async def ask_worker(address: str) -> AsyncIterator[Check]:
    """Yield what a worker says of itself: that it is ready, else each thing that is not.

    That none runs is no mistake.
    """
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, trust_env=False) as client:
            answer = await client.get(f"{address}/health", headers={"Accept": "application/json"})
    except (httpx.ConnectError, httpx.ConnectTimeout):
        yield Check("worker", True, f"none answers at {address}")
        return
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        found = f"no answer at {address} ({type(error).__name__})"
        yield Check("worker", False, found, "what listens there? --worker names another address")
        return
    health = _object(answer)
    if answer.status_code != 200 or "unready" not in health:
        found = f"{address} is no worker of ours, or refuses to answer ({answer.status_code})"
        yield Check("worker", False, found, "--worker names another address")
        return
    unready: Mapping[str, str] = health["unready"]
    about = f"{address}, summaries by {health['summarizer']}"
    if not unready:
        yield Check("worker", True, f"{health['status']} at {about}")
    for name, reason in unready.items():
        said = reason.removeprefix(f"{name}: ")
        mend = MENDS.get(name, "see docs/runbook.md")
        yield Check(f"worker, {name}", False, f"{said} (at {about})", mend)


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
