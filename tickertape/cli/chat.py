"""``chat``: a conversation with a running worker, in a terminal."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import click
import httpx

from tickertape.cli.standing import worker_address
from tickertape.settings import Settings

FORGET = "/forget"
LEAVE = frozenset({"/quit", "/exit"})
SILENCE_SECONDS_MAX = 60.0  # a heartbeat comes more often


def commands(load_settings: Callable[[], Settings]) -> list[click.Command]:
    """Return the command ``chat``."""

    @click.command("chat")
    @click.option("--user", help="Whose conversation; default: who is logged in.")
    @click.option("--worker", metavar="URL", help="A worker's address; default: the settings'.")
    def chat(user: str | None, worker: str | None) -> None:
        """Ask a worker question after question; it knows what was said before.

        A line is a question; /forget deletes the conversation for good, /quit leaves.
        """
        address = (worker or worker_address(load_settings())).rstrip("/")
        name = user or getpass.getuser()
        timeout = httpx.Timeout(SILENCE_SECONDS_MAX, connect=5.0)
        with httpx.Client(base_url=address, timeout=timeout, trust_env=False) as client:
            for line in _lines():
                if line in LEAVE:
                    break
                try:
                    if line == FORGET:
                        client.delete(f"/chat/history/{quote(name, safe='')}").raise_for_status()
                        click.echo("forgotten")
                    else:
                        _ask(client, name, line)
                except httpx.HTTPError as error:
                    raise click.ClickException(_said(address, error)) from None

    return [chat]


def _lines() -> Iterator[str]:
    stream = click.get_text_stream("stdin")
    while True:
        if stream.isatty():
            click.echo("? ", nl=False)
        line = stream.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def _ask(client: httpx.Client, user: str, question: str) -> None:
    body = {"user_name": user, "question": question}
    with client.stream("POST", "/chat/stream", json=body) as response:
        if response.status_code != 200:
            response.read()
            raise click.ClickException(_problem(response))
        for name, data in _events(response):
            if name == "content":
                click.echo(data["text"], nl=False)
            elif name == "done":
                click.echo()
                for source in data["sources"]:
                    title = source["title"] or source["id"]
                    click.secho(f"[{source['number']}] {title}", dim=True)
                for sentence in data["sentences"]:
                    if not sentence["supported"]:
                        click.secho(f"! not supported: {sentence['text'][:160]}", fg="yellow")
            elif name == "error":
                click.echo()
                raise click.ClickException(data["detail"])


def _events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def _problem(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"HTTP {response.status_code}"
    return str(detail)


def _said(address: str, error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return _problem(error.response)
    return f"no answer from a worker at {address} ({type(error).__name__}); --worker names another"
