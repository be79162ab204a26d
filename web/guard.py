"""What a browser on someone else's page must not be able to do with this server.

A worker listens without a password on loopback, or in a container whose port is published there,
so two attacks matter: a page elsewhere that posts to it (cross-site request), and a page whose name
is rebound to 127.0.0.1, which then reads from it too (DNS rebinding). Both are told by headers that
a page's script cannot forge.
"""

from __future__ import annotations

import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from tickertape.errors import TransientError
from web.errors import Problem
from web.routes import Handler, services_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

NOTHING = "default-src 'none'; frame-ancestors 'none'"
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what comes from a page elsewhere."""
    host = request.headers.get("Host")
    if host is not None and (allowed := _allowed(request)) is not None:
        name = host_name(host)
        if not is_loopback(name) and name not in allowed and name != _own_address(request):
            raise Problem(
                421,
                f"Host: expected {', '.join(['localhost', *sorted(allowed - {'localhost'})])}, "
                f"got {name[:100]!r}; name it in TICKERTAPE_WEB_ALLOWED_HOSTS to serve it.",
            )
    if request.method not in SAFE_METHODS and is_cross_site(request):
        raise Problem(403, "Requests from a page of another site are refused.")
    return await handler(request)


def _allowed(request: web.Request) -> frozenset[str] | None:
    """Return the names that may be asked for, beside loopback's; None where any may.

    Any may where the server listens for other machines and no names are set. Before it is open
    it has nothing to tell.
    """
    try:
        settings = services_of(request).settings
    except TransientError:
        return None
    if not settings.web_allowed_hosts and not is_loopback(settings.web_host):
        return None
    return frozenset(name.lower() for name in settings.web_allowed_hosts)


def _own_address(request: web.Request) -> str | None:
    """Return the address that the connection came to: probes name it, a rebound page does not."""
    own = request.get_extra_info("sockname")
    return str(own[0]) if isinstance(own, tuple) else None


def set_headers(response: web.StreamResponse) -> None:
    """Set what every answer has, also to what was no request."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "tickertape"


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the security headers on every answer (a signal, so that streams get them too)."""
    headers = response.headers
    set_headers(response)
    if response.status == HTTPStatus.NOT_MODIFIED:
        return  # it has no type; what it said here would replace what the browser keeps
    page = response.content_type == "text/html"
    headers.setdefault("Content-Security-Policy", PAGE if page else NOTHING)
    if request.path.startswith("/static/") or page:
        headers.setdefault("Cache-Control", "no-cache")  # kept, but asked again by its ETag
    else:
        headers.setdefault("Cache-Control", "no-store")


def is_cross_site(request: web.Request) -> bool:
    """Return whether a browser says that another site's page sent this.

    Programs send neither header. Browsers send Origin with every POST, and Sec-Fetch-Site,
    which also holds behind a proxy that changes Host, wherever they trust the address.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower()
    except ValueError:
        return True  # no browser sends it of our page


def host_name(host: str) -> str:
    """Return a Host header without its port: ``[::1]:80`` -> ``::1``."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    """Return whether a host's name or address can only be this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
