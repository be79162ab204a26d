"""A local server that speaks the hub's protocol, for a tiny model.

The protocol as huggingface_hub 1.x uses it: HEAD and GET of
``/<repo>/resolve/<revision>/<file>``; ``X-Repo-Commit`` and ``ETag`` (git's blob hash) on small
files; a redirect with ``X-Linked-ETag`` (SHA-256) and ``X-Linked-Size`` on large ones; ranges.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from loadtest.tiny_model import DIMENSION as DIMENSION
from loadtest.tiny_model import tiny_model as tiny_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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
