"""The web server."""

from __future__ import annotations

from pydantic import Field

from tickertape.settings.section import Names, Section, env


class WebSettings(Section):
    """Where pages and routes are served, and to whom."""

    web_host: str = Field(
        "127.0.0.1",
        validation_alias=env("TICKERTAPE_WEB_HOST"),
        description="Address the web server listens on.",
    )
    web_port: int = Field(
        6066,
        ge=0,
        le=65535,
        validation_alias=env("TICKERTAPE_WEB_PORT"),
        description="Its port; 0 picks a free one and says which.",
    )
    web_allowed_hosts: Names = Field(
        (),
        validation_alias=env("TICKERTAPE_WEB_ALLOWED_HOSTS"),
        description=(
            "Host names that may be asked for, beside localhost and the address itself, "
            "comma-separated. Obeyed whenever it is set; needed where TICKERTAPE_WEB_HOST is not "
            "loopback and only this machine, or a proxy, is to be served."
        ),
    )
    web_body_bytes_max: int = Field(
        16 * 2**20,
        ge=1024,
        validation_alias=env("TICKERTAPE_WEB_BODY_BYTES_MAX"),
        description="Largest request body (bytes).",
    )
