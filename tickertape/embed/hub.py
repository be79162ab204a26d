"""Fetching a model's ready ONNX file from the hub, with the real ``huggingface_hub``.

Every file is checked against the digest that the hub's metadata gives (SHA-256 for large files,
git's blob hash for small ones): ``huggingface_hub`` itself compares sizes only.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tickertape.embed.layout import CONFIG, ONNX_MODEL, OPTIONAL
from tickertape.embed.manifest import MODEL_DATA, TOKENIZER, digest
from tickertape.errors import StartError

log = logging.getLogger(__name__)
T = TypeVar("T")

ANSWER_SECONDS = 3.0  # for one answer to a HEAD
PROBE_SECONDS = 3.0  # for the first one, name look-up and all: then the hub is unreachable
REQUIRED = (CONFIG, TOKENIZER)
_BRANCH = "main"

# The revisions that were tried with this version of Tickertape; other models take the newest.
REVISIONS = {
    "sentence-transformers/all-MiniLM-L6-v2": "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
}


class HubError(StartError):
    """The hub cannot be reached, does not have the file, or gave a damaged one."""


class HubUnreachable(HubError):
    """No answer from the hub: a model that is there may still be had later."""


def fetch(name: str, folder: Path) -> str:
    """Download the model's files into ``folder``, laid out as on the hub; return the commit.

    HF_ENDPOINT, HF_TOKEN and the proxies of the environment are honoured. What an interrupted
    download left in ``folder`` is taken up again.

    Raises:
        HubError: as it says; the folder is then of no use but to try again.
    """
    commit = check(name, ONNX_MODEL)
    log.info("fetching %s (%s) from %s", name, commit[:12], endpoint())
    for file in (*REQUIRED, *OPTIONAL, ONNX_MODEL, f"onnx/{MODEL_DATA}"):
        _download(name, commit, file, folder, required=file in {*REQUIRED, ONNX_MODEL})
    return commit


def endpoint() -> str:
    """Return the hub's address."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def check(name: str, file: str = CONFIG) -> str:
    """Ask the hub for a model; return its commit. Over within seconds, whatever the network does.

    Raises:
        HubUnreachable: no answer.
        HubError: the hub does not have the model, or not this file of it.
    """
    if not re.fullmatch(r"\w[\w.-]{0,99}/\w[\w.-]{0,99}", name):
        raise HubError(f"{name!r} is neither a folder nor a model's name on the hub")
    from huggingface_hub import errors

    revision = REVISIONS.get(name, _BRANCH)
    try:
        commit, _ = _within(PROBE_SECONDS, lambda: _metadata(name, revision, file))
    except errors.EntryNotFoundError:
        raise HubError(f"{name} has no {file} on the hub") from None
    return commit


def _download(name: str, commit: str, file: str, folder: Path, *, required: bool) -> None:
    from huggingface_hub import errors, hf_hub_download

    try:
        _, etag = _metadata(name, commit, file)
    except errors.EntryNotFoundError:
        if required:
            raise HubError(f"{name} has no {file} on the hub") from None
        return
    try:
        path = hf_hub_download(
            name, file, revision=commit, local_dir=folder, endpoint=endpoint(),
            etag_timeout=ANSWER_SECONDS,
        )  # fmt: skip
    except Exception as error:
        # httpx, huggingface_hub and the file system each have a tree of their own.
        raise HubUnreachable(f"{file}: download failed: {_reason(error)}") from error
    if not _is(Path(path), etag):
        Path(path).unlink()
        raise HubError(f"{file}: not what the hub's digest says ({etag[:12]}...); removed")


def _metadata(name: str, revision: str, file: str) -> tuple[str, str]:
    """The commit and the digest of a file. A file that is not there raises the hub's own error."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(name, file, revision=revision, endpoint=endpoint())
    try:
        found = get_hf_file_metadata(url, timeout=ANSWER_SECONDS, endpoint=endpoint())
    except errors.EntryNotFoundError:
        raise
    except errors.RepositoryNotFoundError:
        raise HubError(f"{name} is not on the hub, or not for this account") from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{name} has no revision {revision} on the hub") from None
    except Exception as error:
        raise HubUnreachable(f"{endpoint()} does not answer: {_reason(error)}") from error
    if not found.commit_hash or not found.etag:
        raise HubError(f"{endpoint()} gives no commit or digest for {file}")
    return found.commit_hash, found.etag


def _is(path: Path, etag: str) -> bool:
    """Compare with the hub's digest: SHA-256 of a large file, git's SHA-1 of a small one."""
    if len(etag) == 64:
        return digest(path) == etag
    body = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\x00" % len(body) + body, usedforsecurity=False)
    return blob.hexdigest() == etag


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Call in a thread that may be left behind: a name look-up has no time-out of its own."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True, name="hub-probe")
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not results:
        raise HubUnreachable(f"{endpoint()} does not answer within {seconds:g} s")
    return results[0]


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
