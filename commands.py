"""The commands of ``faust -A app``: Faust's own worker with a checked start, and ours."""

from __future__ import annotations

import asyncio
import socket
import sys
import warnings
from typing import Any, cast

import structlog
from faust.cli.faust import cli
from faust.cli.worker import worker as faust_worker
from faust.exceptions import AlreadyConfiguredWarning
from faust.worker import Worker as FaustWorker

from runtime import Worker
from tickertape import log as logging_setup
from tickertape.cli import (
    batches,
    broker,
    config,
    dlq,
    doctor,
    export_model,
    read,
    search,
    send,
    topics,
)
from tickertape.errors import SettingsError, StartError
from tickertape.settings import Settings
from worker import TickertapeApp

log = structlog.get_logger("tickertape.start")


def register(app: TickertapeApp, lifecycle: Worker) -> None:
    """Add our commands to Faust's; `worker` replaces Faust's own."""
    worker.lifecycle = lifecycle
    logging_setup.to_stderr()

    def settings() -> Settings:
        return app.settings

    cast(Any, app.conf).Worker = _Process
    for group in (broker, topics):
        cli.add_command(group.commands(settings))
    cli.add_command(export_model.command)
    for module in (send, read, batches, dlq, search, config, doctor):
        for command in module.commands(settings):
            cli.add_command(command)


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
        logging_setup.configure(app.settings)
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
