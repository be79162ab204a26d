"""The folder that Kafka keeps its records in: formatted once, checked before each start."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

from tickertape.broker.config import NODE_ID
from tickertape.errors import BrokerError

META = "meta.properties"
CLUSTER_ID = re.compile(r"[A-Za-z0-9_-]{22}")
FORMAT_SECONDS_MAX = 60


def cluster_id(data: Path) -> str | None:
    """Return the cluster id of a formatted folder; None where there is no folder yet.

    Raises:
        BrokerError: the folder is there, but is not a whole one of ours.
    """
    if not data.exists():
        return None
    try:
        text = (data / META).read_text("ascii")
        stray = next((entry.name for entry in data.iterdir() if not os.access(entry, os.W_OK)), "")
    except FileNotFoundError:
        raise _broken(data, f"{META} is missing") from None
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise _broken(data, f"{META} is not readable ({reason})") from None
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    meta = {key.strip(): value.strip() for key, _, value in pairs}
    if meta.get("version") != "1" or not CLUSTER_ID.fullmatch(meta.get("cluster.id", "")):
        raise _broken(data, f"{META} is cut off or of another version")
    if meta.get("node.id") != str(NODE_ID):
        raise _broken(data, f"it belongs to node {meta.get('node.id')} of another cluster")
    if not (data / "__cluster_metadata-0").is_dir():
        raise _broken(data, "__cluster_metadata-0 is missing")
    if stray or not os.access(data, os.W_OK):
        raise BrokerError(
            f"the broker's folder {data / stray if stray else data} is not writable: "
            "give this user the right to write, or set TICKERTAPE_DATA_DIR"
        )
    return meta["cluster.id"]


def new_cluster_id() -> str:
    """Return a random cluster id as Kafka writes them; none begins with a dash."""
    while True:
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()
        if not made.startswith("-"):
            return made


def unfinished(data: Path) -> Path:
    """Return the folder that is formatted before it takes its name."""
    return data.with_name(f"{data.name}.new")


def format_data(data: Path, properties: str, command: list[str], cluster: str) -> None:
    """Make the folder ``data`` whole or not at all.

    ``properties`` is server.properties for the folder `unfinished` names, which is formatted
    and then renamed; ``command`` runs Java with Kafka's class path.

    Raises:
        BrokerError: the formatter failed; carries its last line.
    """
    new = unfinished(data)
    shutil.rmtree(new, ignore_errors=True)  # of a start that was killed here
    config = data.with_name("format.properties")
    config.write_text(properties, "ascii")
    done = subprocess.run(  # noqa: S603 - our own Java
        [
            *command,
            "kafka.tools.StorageTool",
            "format",
            "--standalone",
            *("--cluster-id", cluster, "--config", str(config)),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=FORMAT_SECONDS_MAX,
        check=False,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches Python alone, which cleans up at the next start
    )
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no message"]
        raise BrokerError(f"the broker's folder {data} cannot be formatted: {lines[-1][:300]}")
    new.rename(data)
    config.unlink()


def _broken(data: Path, what: str) -> BrokerError:
    return BrokerError(
        f"the broker's folder {data} is broken ({what}): put a backup in its place, or move it "
        "away to begin with an empty one"
    )
