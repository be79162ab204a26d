"""One real Kafka for the workers of a machine: started by the first, stopped by the last.

Under ``data_dir``/broker: ``data`` (the records), ``server.properties``, ``log`` and ``log.1``,
``pid.json``, ``users/`` and ``lock``, which every change of state holds.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tickertape.broker import config, jars, probe, process, storage
from tickertape.broker.lock import locked
from tickertape.broker.users import Users
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import Brokers, brokers_of
from tickertape.settings import Settings

START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 30.0
LEAVE_SECONDS_MAX = 4.0
POLL_SECONDS = 0.1
FOREIGN_SECONDS = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Status:
    """``state``: running, starting, stopping, stopped, or foreign (another one has the port)."""

    state: str
    bootstrap: str
    pid: int | None
    cluster_id: str | None
    users: list[int]
    kept: bool
    folder: str
    version: str = jars.KAFKA_VERSION


def silent(message: str) -> None:
    """Say nothing."""


class EmbeddedBroker:
    """The broker of a data folder. Its methods block; call them outside of an event loop."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.folder = data_dir.expanduser().absolute().resolve() / "broker"
        self.port = port
        self._data = self.folder / "data"
        self._pid_file = self.folder / "pid.json"
        self._properties = self.folder / "server.properties"
        self._users = Users(self.folder / "users")

    @property
    def bootstrap(self) -> str:
        """Where it listens."""
        return f"{config.HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """Kafka's log since its last start: warnings and errors."""
        return self.folder / "log"

    def join(self, say: Say = silent) -> None:
        """Use the broker until `leave`: start it, or join the one that runs.

        Joining again is allowed, and starts a broker that has died.

        Raises:
            BrokerError: one line that says why not and what to do.
        """
        with self._locked(say):
            self._run(say)
            self._users.add()

    def revive(self, say: Say = silent) -> bool:
        """Start it again where it has died, not where somebody stopped it; return whether it had.

        Raises:
            BrokerError: as `join` does.
        """
        with self._locked(say):
            if not self._pid_file.exists() or self._find() is not None:
                return False
            self._run(say)
            return True

    def leave(self) -> None:
        """Use it no more; the last user stops it and waits a few seconds for its end."""
        with self._locked(silent):
            self._users.remove()
            if not self._users.kept and not self._users.live():
                self._stop(LEAVE_SECONDS_MAX)

    def start(self, say: Say = silent) -> None:
        """Start it to stay until `stop`. Raises BrokerError as `join` does."""
        with self._locked(say):
            self._run(say)
            self._users.keep(True)

    def stop(self) -> bool:
        """Stop it, whoever uses it; return whether one was running."""
        with self._locked(silent):
            self._users.keep(False)
            return self._stop(STOP_SECONDS_MAX)

    def erase(self) -> None:
        """Stop it and delete all its records.

        Raises:
            BrokerError: somebody uses it.
        """
        with self._locked(silent):
            if users := self._users.live():
                pids = ", ".join(map(str, users))
                raise BrokerError(f"the broker is used by pid {pids}: stop the worker first")
            self._users.keep(False)
            self._stop(STOP_SECONDS_MAX)
            for found in self.folder.iterdir():
                if found.is_dir():
                    shutil.rmtree(found)
                elif found.name != "lock":
                    found.unlink()

    def kill(self) -> bool:
        """End it as a crash would, for tests of what survives; return whether one was running."""
        running = self._find()
        if running is None:
            return False
        return process.end(running.pid, self._mark, STOP_SECONDS_MAX, at_once=True)

    def status(self) -> Status:
        """Look, and change nothing. Raises BrokerError where the data folder is broken."""
        cluster = storage.cluster_id(self._data)
        running = self._find()
        answer = _who(self.port)
        if running is not None and running.stopping:
            state = "stopping"
        elif answer is not None and (cluster is None or answer.cluster_id != cluster):
            state = "foreign"
        elif answer is not None and answer.brokers:
            state = "running"
        else:
            state = "starting" if running else "stopped"
        pid = running.pid if running else None
        users = self._users.live()
        folder = str(self.folder)
        return Status(state, self.bootstrap, pid, cluster, users, self._users.kept, folder)

    # Below: under the lock.

    @property
    def _mark(self) -> str:
        return str(self._properties)

    def _find(self) -> process.Running | None:
        return process.find(self._pid_file, self._mark)

    def _run(self, say: Say) -> None:
        cluster = storage.cluster_id(self._data)
        running = self._find()
        if running and running.stopping:
            self._stop(STOP_SECONDS_MAX)
            running = None
        if running is None:
            answer = _who(self.port)
            if answer is not None:
                if cluster is None or answer.cluster_id != cluster:
                    raise _foreign(self.port, answer)
                return  # ours, but run by another user or container: it is theirs to stop
            cluster, pid = self._launch(cluster, say)
        elif running.port not in {0, self.port}:
            raise BrokerError(
                f"the broker of {self.folder} already listens at port {running.port}: set "
                f"TICKERTAPE_BROKER_PORT={running.port}, or stop it (faust -A app broker stop)"
            )
        elif cluster is None:
            raise BrokerError(
                f"a broker runs (pid {running.pid}), but its folder {self._data} is gone: stop "
                "it (faust -A app broker stop)"
            )
        else:
            pid = running.pid
        self._wait_ready(pid, cluster)

    def _launch(self, cluster: str | None, say: Say) -> tuple[str, int]:
        command = [str(jars.java()), *config.JVM, "-cp", jars.classpath(say)]
        controller_port = _free_port()
        say(f"starting Apache Kafka {jars.KAFKA_VERSION} at {self.bootstrap}")
        if cluster is None:
            cluster = storage.new_cluster_id()
            new = storage.unfinished(self._data)
            text = config.properties(new, self.port, controller_port)
            storage.format_data(self._data, text, command, cluster)
        text = config.properties(self._data, self.port, controller_port)
        self._properties.write_text(text, "ascii")
        pid = process.spawn([*command, "kafka.Kafka", self._mark], self.log)
        process.Running(pid, self.port).save(self._pid_file)
        return cluster, pid

    def _wait_ready(self, pid: int, cluster: str) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            answer = probe.ask(config.HOST, self.port)
            if answer is not None and answer.cluster_id == cluster and answer.brokers:
                return
            if answer is not None and answer.cluster_id not in {cluster, None}:
                self._stop(STOP_SECONDS_MAX)  # it cannot be reached where clients look
                raise _foreign(self.port, answer)
            if not process.alive(pid, self._mark):
                raise BrokerError(f"the broker ended at its start: {_last_error(self.log)}")
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"the broker (pid {pid}) does not answer at {self.bootstrap} after "
                    f"{START_SECONDS_MAX:.0f} s: see {self.log}"
                )
            time.sleep(POLL_SECONDS)

    def _stop(self, seconds: float) -> bool:
        """Return whether one was running. A broker that ends slowly is left to end by itself,
        unless the whole ``STOP_SECONDS_MAX`` have passed."""
        running = self._find()
        if running is None:
            self._pid_file.unlink(missing_ok=True)
            return False
        replace(running, stopping=True).save(self._pid_file)
        if not process.end(running.pid, self._mark, seconds):
            if seconds < STOP_SECONDS_MAX:
                return True
            process.end(running.pid, self._mark, seconds, at_once=True)
        self._pid_file.unlink(missing_ok=True)
        return True

    @contextmanager
    def _locked(self, say: Say) -> Iterator[None]:
        if "," in str(self.folder):
            raise BrokerError(f"TICKERTAPE_DATA_DIR: Kafka takes no comma in {self.folder}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(
                self.folder / "lock",
                lambda: say("waiting for another process that starts or stops the broker"),
            ):
                yield
        except OSError as error:
            raise BrokerError(
                f"the broker's folder {error.filename or self.folder} cannot be used "
                f"({error.strerror or error}): set TICKERTAPE_DATA_DIR to one that can be written"
            ) from None


@contextmanager
def using(settings: Settings, say: Say = silent) -> Iterator[Brokers]:
    """Yield where Kafka is, for a command: the brokers named, else the embedded one.

    The embedded one is started where it does not run, and stops again with its last user.
    """
    if not settings.embedded_broker:
        yield brokers_of(settings)
        return
    broker = EmbeddedBroker(settings.data_dir, settings.broker_port)
    broker.join(say)
    try:
        yield Brokers(broker.bootstrap)
    finally:
        broker.leave()


@contextmanager
def reading(settings: Settings) -> Iterator[Brokers]:
    """Yield where Kafka is, for a command that changes nothing: it starts no broker.

    Raises:
        BrokerError: the embedded one does not run.
    """
    if settings.embedded_broker:
        broker = EmbeddedBroker(settings.data_dir, settings.broker_port)
        status = broker.status()
        if status.state == "foreign":
            raise BrokerError(
                f"port {settings.broker_port} is taken by another server: set KAFKA_BROKERS to use "
                "it, or TICKERTAPE_BROKER_PORT to another port"
            )
        if status.state not in {"running", "starting"}:
            raise BrokerError(
                f"no broker runs at {broker.bootstrap}, so nothing can be read: a worker starts "
                "it, or: faust -A app broker start; KAFKA_BROKERS names another"
            )
    yield brokers_of(settings)


def _who(port: int) -> probe.Listener | None:
    """Who listens there. One that dies at this moment takes connections and closes them, so
    one that does not speak Kafka is asked again for a while."""
    deadline = time.monotonic() + FOREIGN_SECONDS
    while True:
        answer = probe.ask(config.HOST, port)
        if answer is None or answer.cluster_id is not None or time.monotonic() > deadline:
            return answer
        time.sleep(POLL_SECONDS)


def _foreign(port: int, answer: probe.Listener) -> BrokerError:
    who = f"Kafka cluster {answer.cluster_id}" if answer.cluster_id else "something else"
    return BrokerError(
        f"port {port} is taken by {who}, not by the broker of the data folder: set KAFKA_BROKERS "
        f"to use it, or TICKERTAPE_BROKER_PORT to another port"
    )


def _free_port() -> int:
    """A port for the controller, which only the broker itself speaks to: a new one each start."""
    with socket.create_server((config.HOST, 0)) as server:
        return int(server.getsockname()[1])


def _last_error(log: Path) -> str:
    """The last line of Kafka's log that tells why, and where the rest is."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    errors = [
        line for line in lines if " ERROR " in line or "Exception: " in line or "Error" in line
    ]
    reason = (errors or lines or ["it wrote no log"])[-1].strip()
    return f"{reason[:300]} (see {log})"
