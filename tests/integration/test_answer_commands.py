"""ask, chat, summarize as they are typed, with a real store, the real model, a stand-in LLM."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from testkit.llm.double import LlmDouble
from testkit.models import model_settings
from tests.web_parts import parts, served, store_text
from tickertape.cli import ask, chat, summarize
from tickertape.documents import Document, DocumentKey
from tickertape.embed import load
from tickertape.embed.runner import Runner
from tickertape.pipeline import Pipeline
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.versions import Origin, Stamp, Version

REVENUE = "Acme's revenue in the third quarter rose nine per cent to $4.2 billion."
OTHER = "Bolt named a new chief financial officer, who starts in May."


@pytest.fixture
def settings(model_cache: Path, tmp_path: Path) -> Settings:
    made: Settings = model_settings().model_copy(update={"data_dir": tmp_path})
    return made


@pytest.fixture
async def stored(settings: Settings) -> Settings:
    """A store with two documents, closed again."""
    (store,) = open_stores(settings)
    runner = Runner(await asyncio.to_thread(load, settings), 4096)
    await store.start()
    await runner.start()
    made = [
        Document(
            DocumentKey("c", id), text, Version((), Stamp(1, n)), Origin("t", 0, n), {"title": id}
        )
        for n, (id, text) in enumerate({"acme-q3": REVENUE, "bolt": OTHER}.items())
    ]
    results = await Pipeline(store, runner, chunk_tokens=256, overlap_tokens=0).run(made)
    assert not [each for each in results if isinstance(each, Exception)]
    await runner.stop()
    await store.stop()
    return settings


async def typed(module: Any, settings: Settings, *words: str, said: str | None = None) -> Result:
    (command,) = module.commands(lambda: settings)
    assert isinstance(command, click.Command)
    return await asyncio.to_thread(CliRunner().invoke, command, list(words), input=said)


async def test_ask_shows_the_passages_where_nobody_writes(stored: Settings) -> None:
    shown = await typed(ask, stored, "What was Acme's revenue in the third quarter?")
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"{REVENUE} [1]")
    assert "[1] acme-q3" in shown.output
    assert "by extractive" in shown.output
    nothing = await typed(ask, stored, "How is sourdough bread baked?")
    assert nothing.output.startswith("The documents do not say.")
    wrong = await typed(ask, stored, " ")
    assert (wrong.exit_code, wrong.output.splitlines()[-1][:6]) == (1, "Error:")


async def test_ask_streams_and_tells_what_is_not_supported(stored: Settings) -> None:
    async with LlmDouble(answer=f"{REVENUE} [1] It was $9.9 billion [7].") as double:
        own = stored.model_copy(update={"llm_url": double.url, "llm_model": double.model})
        shown = await typed(ask, own, "What was Acme's revenue?", "-k", "1")
        assert shown.exit_code == 0, shown.output
        assert f"{REVENUE} [1] It was $9.9 billion [7?]." in shown.output
        assert "! not in its sources: $9.9 billion" in shown.output
        assert "! no such source: [7]" in shown.output
        told = await typed(ask, own, "What was Acme's revenue?", "--json")
        body = json.loads(told.output)
        assert [one["supported"] for one in body["sentences"]] == [True, False]
        double.control(faults=[{"kind": "unauthorized"}])
        refused = await typed(ask, own, "What was Acme's revenue?")
        assert refused.exit_code == 1
        assert "LLM_API_KEY" in refused.output
        assert "Traceback" not in refused.output


async def test_summarize_shows_what_a_worker_would_make_of_a_file(
    settings: Settings, tmp_path: Path
) -> None:
    text = f"{REVENUE} Gross margin was 41 per cent. We thank our staff. The outlook is unchanged."
    file = tmp_path / "report.txt"
    file.write_text(text, "utf-8")
    shown = await typed(summarize, settings, str(file), "--sentences", "1")
    assert shown.exit_code == 0, shown.output
    assert REVENUE in shown.output
    told = await typed(summarize, settings, "-", "--json", said=text)
    body = json.loads(told.stdout.splitlines()[-1])
    assert (body["status"], body["unsupported"]) == ("completed", [])
    missing = await typed(summarize, settings, str(tmp_path / "nowhere.txt"))
    assert missing.exit_code == 1
    assert "nowhere.txt" in missing.output
    assert "Traceback" not in missing.output


async def test_chat_asks_a_worker_and_forgets(tmp_path: Path) -> None:
    async with parts(tmp_path) as made, served(made) as client:
        await store_text(made, "acme", REVENUE, title="Acme, Q3")
        address = str(client.make_url("/")).rstrip("/")
        lines = "What was Acme's revenue in the third quarter?\n\n/quit\nnever asked\n"
        words = ("--user", "a/b", "--worker", address)
        shown = await typed(chat, made.settings, *words, said=lines)
        assert shown.exit_code == 0, shown.output
        assert REVENUE in shown.output
        assert "[1] Acme, Q3" in shown.output
        assert len(made.history.get("a/b")) == 2
        gone = await typed(chat, made.settings, *words, said="/forget\n")
        assert "forgotten" in gone.output
        assert made.history.get("a/b") == []
        wrong = await typed(chat, made.settings, "--worker", address, "--user", " ", said="x\n")
        assert (wrong.exit_code, "user_name" in wrong.output) == (1, True)
    away = await typed(chat, made.settings, *words, said="x\n")
    assert away.exit_code == 1
    assert "no answer from a worker" in away.output
    assert "Traceback" not in away.output
