"""Each configuration on docs/sources.md opens, and each request there is one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agents import ingest
from tickertape import sources
from tickertape.decode import Limits
from tickertape.record import Record
from tickertape.settings import load
from web.ingest_bodies import IngestBody

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_each_configuration_opens(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TICKERTAPE_CONFIG", raising=False)
    for name in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(name, "a secret of ours")
    (tmp_path / "config.yaml").write_text(text)
    settings = load(tmp_path)
    assert settings.source_names
    sources.check_all(settings)


def test_each_field_of_a_kind_is_on_the_page() -> None:
    for target in sources.KINDS.values():
        module, _, cls = target.partition(":")
        config: Any = getattr(__import__(module, fromlist=[cls]), cls).Config
        fields = set(config.model_fields) - {"kind"}
        assert [name for name in fields if f"`{name}`" not in PAGE] == []


def test_each_request_is_one() -> None:
    requests = [json.loads(text) for text in blocks("json")]
    assert requests
    for request in requests:
        record = Record("data-ingestion", 0, 0, None, json.dumps(request).encode(), (), 1)
        assert ingest.read(record, Limits()).wanted.source_id
    bodies = re.findall(r"-d '(\{.*?\})'", PAGE, re.S)
    assert bodies
    for body in bodies:
        IngestBody.model_validate(json.loads(body))
