"""A tiny sentence-transformers model, and a local server that speaks the hub's protocol.

The protocol as huggingface_hub 1.x uses it: HEAD and GET of
``/<repo>/resolve/<revision>/<file>``; ``X-Repo-Commit`` and ``ETag`` (git's blob hash) on small
files; a redirect with ``X-Linked-ETag`` (SHA-256) and ``X-Linked-Size`` on large ones; ranges.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *("revenue", "rose", "fell", "by", "profit", "outlook", ".", "a", "b", "c"),
]
DIMENSION = 16


def tiny_model(folder: Path, *, pooling: str = "mean", normalize: bool = True) -> Path:
    """Write a real model of a few kB, laid out as on the hub; return the folder."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(), folder / "onnx" / "model.onnx")
    _tokenizer().save(str(folder / "tokenizer.json"))
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    files: dict[str, Any] = {
        "config.json": {"hidden_size": DIMENSION, "max_position_embeddings": 64},
        "sentence_bert_config.json": {"max_seq_length": 12},
        "modules.json": [
            {"idx": i, "type": f"sentence_transformers.models.{m}"} for i, m in enumerate(modules)
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": DIMENSION,
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_max_tokens": pooling == "max",
        },
    }
    for name, body in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(body), "utf-8")
    return folder


def _graph() -> onnx.ModelProto:
    """Token vectors = table[ids] @ weights, [batch, tokens, DIMENSION]."""
    rng = np.random.default_rng(7)
    table = numpy_helper.from_array(
        rng.standard_normal((len(WORDS), DIMENSION), dtype=np.float32), "table"
    )
    weights = numpy_helper.from_array(
        rng.standard_normal((DIMENSION, DIMENSION), dtype=np.float32), "weights"
    )
    shape = ["batch", "tokens"]
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("MatMul", ["rows", "weights"], ["last_hidden_state"]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, shape),
        ],
        [
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, [*shape, DIMENSION]
            )
        ],
        [table, weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _tokenizer() -> Tokenizer:
    """Words, with a cut at 4 tokens and padding, as the hub's files often say."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_truncation(4)
    made.enable_padding()
    return made


class Hub:
    """One repository on a local server. ``damaged`` files are served with other bytes; of a file
    in ``cut`` only so many bytes come; ``down`` answers 503 to everything."""

    def __init__(self, repo: str, folder: Path) -> None:
        self.repo = repo
        self.folder = folder
        self.requests: list[tuple[str, str]] = []
        self.damaged: set[str] = set()
        self.cut: dict[str, int] = {}
        self.down = False
        self.endpoint = ""

    def downloads(self) -> list[str]:
        """Return the files that were asked for by GET."""
        return [path for method, path in self.requests if method == "GET"]

    @contextmanager
    def serve(self) -> Iterator[Hub]:
        """Serve at a free port."""
        handler = type("Handler", (_Handler,), {"hub": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            self.endpoint = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield self
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        found = re.fullmatch(r"/(?:(cdn)|(.+)/resolve/([^/]+))/(.+)", self.path)
        assert found, self.path
        cdn, repo, revision, file = found.groups()
        self.hub.requests.append((self.command, file))
        path = self.hub.folder / file
        if self.hub.down:
            return self._send(503, {})
        if not cdn and repo != self.hub.repo:
            return self._send(401, {"X-Error-Code": "RepoNotFound"})
        if not cdn and revision not in {"main", COMMIT}:
            return self._send(404, {"X-Error-Code": "RevisionNotFound"})
        if not path.is_file():
            return self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = path.read_bytes()
        if not cdn and file.endswith(".onnx"):
            return self._send(
                302,
                {
                    "Location": f"{self.hub.endpoint}/cdn/{file}",
                    "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                    "X-Linked-Size": str(len(content)),
                    "X-Repo-Commit": COMMIT,
                },
            )
        blob = hashlib.sha1(b"blob %d\x00" % len(content) + content).hexdigest()
        return self._file(file, content, blob, body=body)

    def _file(self, file: str, content: bytes, etag: str, *, body: bool) -> None:
        if file in self.hub.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
        begin, status = 0, 200
        ranged = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if ranged:
            begin, status = int(ranged[1]), 206
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self._send(status, headers, content[begin:], body=body, cut=self.hub.cut.get(file))

    def _send(
        self,
        status: int,
        headers: dict[str, str],
        content: bytes = b"",
        *,
        body: bool = False,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:cut])
            if cut is not None and cut < len(content):
                self.close_connection = True
