"""Tickertape: ``faust -A app worker``. Builds the app from Settings and registers its parts."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    print("app.py is not run by itself: type  faust -A app worker", file=sys.stderr)
    sys.exit(2)

import commands
import web
from agents import embed, follow, history, ingest, progress, summarize, write
from runtime import Worker
from tables import batches
from tables import history as conversations
from tickertape import settings as settings_module
from tickertape import watching
from tickertape.errors import StartError
from web.server import Runner
from worker import TickertapeApp, table_partition

ROOT = Path(__file__).parent

try:
    settings = settings_module.load(ROOT)
    app = TickertapeApp(settings)
except StartError as error:
    print(error, file=sys.stderr)
    sys.exit(1)

worker = Worker(app)
app.lifecycle = worker

if "ingest" in settings.roles:
    for ingest_spec in ingest.specs(settings, lambda: worker.services):
        worker.add(ingest_spec)
    worker.background.append(lambda: watching.watch(settings, lambda: worker.services))
if "embed" in settings.roles:
    for text_spec in embed.specs(settings, lambda: worker.services):
        worker.add(text_spec)
if "summarize" in settings.roles:
    for summary_spec in summarize.specs(settings, lambda: worker.services):
        worker.add(summary_spec)
if "write" in settings.roles:
    for vector_spec in write.specs(settings, lambda: worker.services):
        worker.add(vector_spec)
    for follow_spec in follow.specs(settings, lambda: worker.services):
        worker.add(follow_spec)
if "progress" in settings.roles:
    table = batches.declare(app)
    apply = partial(batches.apply, table, topic=settings.topic_batch_status)
    for progress_spec in progress.specs(settings, apply, table_partition):
        worker.add(progress_spec)
    apply_turns = partial(conversations.apply, conversations.declare(app))
    for chat_spec in history.specs(settings, apply_turns, table_partition):
        worker.add(chat_spec)
    worker.background.append(
        lambda: progress.close_idle(settings, lambda: worker.services, worker.batches, app.all_read)
    )

app.runner_of = Runner
web.register(app.web_application, lambda: worker.services)
commands.register(app, worker)
