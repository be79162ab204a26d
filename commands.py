"""The commands of ``faust -A app``: Faust's own worker with a checked start, and ours."""

from __future__ import annotations

import asyncio
import socket
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import click
import structlog
from faust.cli.faust import cli
from faust.cli.worker import worker as faust_worker
from faust.exceptions import AlreadyConfiguredWarning
from faust.worker import Worker as FaustWorker

from runtime import Worker
from tickertape import log as logging_setup
from tickertape.cli import (
    ask,
    batches,
    broker,
    chat,
    config,
    dlq,
    doctor,
    export_model,
    ingest,
    read,
    reset,
    search,
    send,
    sources,
    stores,
    summarize,
    topics,
    verify,
)
from tickertape.errors import SettingsError, StartError
from tickertape.settings import Settings
from worker import TickertapeApp

log = structlog.get_logger("tickertape.start")

# What users of other Faust apps type
RENAMED = {"write": "send [TOPIC] TEXT", "create-topic": "topics create [NAME...]"}
LEVELS = {"crit": "ERROR", "error": "ERROR", "warn": "WARNING", "info": "INFO", "debug": "DEBUG"}


def register(app: TickertapeApp, lifecycle: Worker) -> None:
    """Add our commands to Faust's; `worker` replaces Faust's own."""
    worker.lifecycle = lifecycle
    logging_setup.to_stderr()

    def settings() -> Settings:
        return app.settings

    cast(Any, app.conf).Worker = _Process
    for group in (broker, topics, stores):
        cli.add_command(group.commands(settings))
    cli.add_command(export_model.command)
    for module in (
        send,
        ingest,
        sources,
        read,
        batches,
        dlq,
        search,
        ask,
        chat,
        summarize,
        config,
        doctor,
        reset,
    ):
        for command in module.commands(settings):
            cli.add_command(command)
    for command in verify.commands(settings, lambda: [flow.spec for flow in app.flows]):
        cli.add_command(command)
    for old, now in RENAMED.items():
        cli.add_command(_hint(old, now))
    _describe(cli.commands["worker"], app.settings)


def _describe(command: click.Command, settings: Settings) -> None:
    """Let `worker --help` say what is so here: Faust's own defaults are not in force."""
    defaults = {
        "web_port": ("Port of the web server.", f"TICKERTAPE_WEB_PORT: {settings.web_port}"),
        "web_bind": ("Address that it listens on.", f"TICKERTAPE_WEB_HOST: {settings.web_host}"),
        "web_host": ("Its canonical name.", f"TICKERTAPE_WEB_HOST: {settings.web_host}"),
        "loglevel": ("Least level logged.", f"TICKERTAPE_LOG_LEVEL: {settings.log_level.lower()}"),
        "logfile": ("Log to this file.", f"TICKERTAPE_LOG_FILE: {settings.log_file or 'stdout'}"),
    }
    for option in command.params:
        if isinstance(option, click.Option) and option.name in defaults:
            option.help, option.show_default = defaults[option.name]
            option.default = None  # what is not given is the setting's
        elif isinstance(option, click.Option) and option.name in {"web_transport", "console_port"}:
            option.hidden = True


def _hint(old: str, now: str) -> click.Command:
    """Return a command of another program's name, which says what it is called here."""

    @click.command(old, hidden=True, context_settings={"ignore_unknown_options": True})
    @click.argument("_words", nargs=-1, type=click.UNPROCESSED)
    def hint(_words: tuple[str, ...]) -> None:
        error = click.ClickException(f"there is no command {old!r}; type: faust -A app {now}")
        error.exit_code = 2
        raise error

    return hint


class _Process(FaustWorker):
    """Faust's process, with our logging, and without its spinner on stdout."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "quiet": True})
        self.spinner = None

    def _setup_logging(self) -> None:
        logging_setup.configure(self.app.settings)  # type: ignore[attr-defined]


class worker(faust_worker):  # noqa: N801 - the class's name is the command's
    """Start a worker."""

    lifecycle: Worker

    def as_service(self, loop: asyncio.AbstractEventLoop, *args: Any, **kwargs: Any) -> Any:
        app: TickertapeApp = self.app  # type: ignore[assignment]
        self._init_worker_options(*args, **kwargs)
        given = {
            "log_level": LEVELS.get(self.state.loglevel or ""),
            "log_file": Path(self.state.logfile) if self.state.logfile else None,
        }
        given = {name: value for name, value in given.items() if value is not None}
        app.settings = app.settings.model_copy(update=given)
        logging_setup.configure(app.settings)
        for line in app.settings.ignored:
            log.warning("setting", ignored=line)
        try:
            self._choose_port(app)
            self.lifecycle.join_broker()
            loop.run_until_complete(self.lifecycle.open())
        except StartError as error:
            loop.run_until_complete(self.lifecycle.close())
            print(error, file=sys.stderr)
            sys.exit(1)
        return app

    def _choose_port(self, app: TickertapeApp) -> None:
        """Port 0 is a free one; a taken one is said before anything starts."""
        conf = app.conf
        free = app.settings.web_port == 0 and self.kwargs.get("web_port") is None
        port = 0 if free else conf.web_port
        try:
            with socket.create_server((str(conf.web_bind), port)) as probe:
                port = probe.getsockname()[1]
        except OSError as error:
            where = f"{conf.web_bind}:{port}"
            raise SettingsError(
                f"TICKERTAPE_WEB_PORT: {where} cannot be listened on: {error.strerror}"
            ) from None
        if port != conf.web_port:
            with warnings.catch_warnings():  # Faust's, of settings that were read before
                warnings.simplefilter("ignore", AlreadyConfiguredWarning)
                conf.web_port = port
            conf.canonical_url = f"http://{conf.web_host}:{port}"  # type: ignore[assignment]
        log.info("web", address=f"http://{conf.web_bind}:{port}/")

    def on_worker_created(self, worker: Any) -> None:
        """No banner: the start lines say what runs."""
