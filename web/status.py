"""Is it up, what does it do, and how fast: probes, statistics, settings, metrics."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from aiohttp import web

from tickertape import __version__, metrics, settings
from tickertape.observe import observe
from tickertape.services import Services
from web.errors import unavailable
from web.exchange import reply
from web.routes import Reply, Route, services_of
from web.status_bodies import (
    Alive,
    Config,
    Consuming,
    Flow,
    FlowBrief,
    Health,
    Ready,
    Stats,
    Store,
)


async def livez(_request: web.Request) -> web.Response:
    """The event loop answers; nothing else is looked at."""
    return reply(Alive())


async def readyz(request: web.Request) -> web.Response:
    """200 once partitions are assigned, tables recovered, stores and model up.

    Else 503; ``unready`` says which component is not, and why. A store beside the first keeps
    nothing from being ready: ``degraded`` names it.
    """
    missing = services_of(request).runtime.unready()
    if missing:
        why = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise unavailable(why, unready=missing)
    degraded = services_of(request).runtime.degraded()
    return reply(Ready(status="degraded" if degraded else "ready", degraded=degraded))


def health_of(services: Services) -> Health:
    """Return the summary that /health, / and the start line show."""
    runtime = services.runtime
    missing = runtime.unready()
    degraded = runtime.degraded()
    uptime = runtime.stats().get("uptime_seconds")
    if missing:
        status: Literal["ok", "degraded", "paused", "unready"] = "unready"
    else:
        status = "paused" if runtime.paused else "degraded" if degraded else "ok"
    return Health(
        status=status,
        version=__version__,
        summarizer=services.summarizer.name,
        model=services.runner.embedder.identity,
        stores=[store.name for store in services.stores],
        uptime_seconds=uptime,
        unready=missing,
        degraded=degraded,
        flows=[
            FlowBrief(name=flow.name, state=flow.state, reason=flow.reason)
            for flow in runtime.flows()
        ],
    )


async def health(request: web.Request) -> web.Response:
    """A summary; 200 even when something is not ready (see /readyz)."""
    return reply(health_of(services_of(request)))


async def stats(request: web.Request) -> web.Response:
    """Counts since the start, and each flow with rate, lag, and why it is held."""
    services = services_of(request)
    runtime = services.runtime
    flows = [Flow(**asdict(flow)) for flow in runtime.flows()]
    said = {"paused": runtime.paused, "flows": flows, "stores": _stores(services)}
    return reply(Stats(**{**runtime.stats(), **said}))


def _stores(services: Services) -> list[Store]:
    lags, reasons = services.runtime.store_lags(), services.runtime.degraded()
    reasons = {**reasons, **services.runtime.unready()}
    return [
        Store(
            name=store.name,
            first=place == 0,
            lag=lags.get(store.name) if place else 0,
            reason=reasons.get(f"store:{store.name}", ""),
        )
        for place, store in enumerate(services.stores)
    ]


async def config(request: web.Request) -> web.Response:
    """Every setting with its value, default and meaning; secrets are hidden."""
    described: dict[str, Any] = settings.describe(services_of(request).settings)
    return reply(Config.model_validate(described))


async def start(request: web.Request) -> web.Response:
    """Consume again. This worker only."""
    services_of(request).runtime.resume()
    return consuming(request)


async def stop(request: web.Request) -> web.Response:
    """Stop consuming. This worker only; not kept over a restart."""
    services_of(request).runtime.pause()
    return consuming(request)


def consuming(request: web.Request) -> web.Response:
    """Return what the worker does now."""
    paused = services_of(request).runtime.paused
    return reply(Consuming(status="paused" if paused else "running"))


async def prometheus(request: web.Request) -> web.Response:
    """Metrics in Prometheus' text format, or OpenMetrics where Accept names it."""
    services = services_of(request)
    observe(services.runtime, services.runner)
    body, content_type = metrics.render(request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


TAG = "Worker"
ROUTES = (
    Route("GET", "/livez", livez, "Alive", TAG, (Reply(200, Alive, "Alive."),)),
    Route("GET", "/readyz", readyz, "Ready", TAG, (Reply(200, Ready, "Ready."),), errors=(503,)),
    Route("GET", "/health", health, "Summary", TAG, (Reply(200, Health, "What runs."),)),
    Route("GET", "/stats", stats, "Statistics", TAG, (Reply(200, Stats, "Counts and flows."),)),
    Route("GET", "/config", config, "Settings", TAG, (Reply(200, Config, "All settings."),)),
    Route("POST", "/start", start, "Resume", TAG, (Reply(200, Consuming, "Consuming."),)),
    Route("POST", "/stop", stop, "Pause", TAG, (Reply(200, Consuming, "Paused."),)),
    Route(
        "GET",
        "/metrics",
        prometheus,
        "Metrics",
        TAG,
        (Reply(200, None, "Prometheus' exposition format.", "text/plain"),),
    ),
)
