"""The broker's folder, settings, users and processes, without a broker."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tickertape.broker import EmbeddedBroker, config, jars, process, storage
from tickertape.broker.process import Identity, Running
from tickertape.broker.users import Users
from tickertape.errors import BrokerError
from tickertape.topics import RECORD_BYTES_MAX

CLUSTER = "oMXCIu8mQ2yBpadfoAfxAw"
META = f"#\n#Sat Nov 21\ncluster.id={CLUSTER}\ndirectory.id=BAdEa7LrQCeTPLwKxoSvHA\nnode.id=1\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as the formatter leaves it."""
    folder = tmp_path / "broker" / "data"
    (folder / "__cluster_metadata-0").mkdir(parents=True)
    (folder / "meta.properties").write_text(f"{META}version=1\n")
    return folder


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A live process that is no broker."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as found:
        yield found
        found.kill()


def unprivileged(call: Callable[[], object]) -> str:
    """What a call says in a process that is not root's: its result or its error."""
    with contextlib.suppress(BrokerError):
        call()  # what it imports may be closed to that process
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            told = str(call())
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        told = file.read()
    os.waitpid(child, 0)
    return told


class TestFolder:
    def test_a_whole_one_has_a_cluster_id(self, data: Path) -> None:
        assert storage.cluster_id(data) == CLUSTER

    def test_none_yet(self, tmp_path: Path) -> None:
        assert storage.cluster_id(tmp_path / "data") is None

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (None, "meta.properties is missing"),
            ("", "cut off"),
            (META, "cut off"),  # the version is its last line
            (f"{META[:40]}", "cut off"),
            (f"{META}version=2\n", "another version"),
            (META.replace("node.id=1", "node.id=7") + "version=1\n", "node 7"),
            (META.replace(CLUSTER, "short") + "version=1\n", "cut off"),
            ("\xff\xfe", "not text"),
        ],
    )
    def test_a_broken_one_says_what_and_what_to_do(
        self, data: Path, text: str | None, told: str
    ) -> None:
        meta = data / "meta.properties"
        meta.unlink()
        if text is not None:
            meta.write_text(text, "latin-1")
        with pytest.raises(BrokerError, match=told) as error:
            EmbeddedBroker(data.parent.parent, 1).join()
        assert str(data) in str(error.value)
        assert "move it away" in str(error.value)
        assert "\n" not in str(error.value)

    def test_without_its_metadata(self, data: Path) -> None:
        (data / "__cluster_metadata-0").rmdir()
        with pytest.raises(BrokerError, match="__cluster_metadata-0 is missing"):
            storage.cluster_id(data)

    def test_not_writable(self) -> None:
        with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
            Path(folder).chmod(0o755)
            data = Path(folder) / "data"
            (data / "__cluster_metadata-0").mkdir(parents=True)
            (data / "meta.properties").write_text(f"{META}version=1\n")
            data.chmod(0o555)
            told = unprivileged(lambda: storage.cluster_id(data))
            assert told.startswith(f"BrokerError: the broker's folder {data}")
            assert told.endswith(
                "is not writable: give this user the right to write, or set TICKERTAPE_DATA_DIR"
            )
            data.chmod(0o755)

    def test_a_file_in_place_of_the_data_folder(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("")
        with pytest.raises(BrokerError, match="set TICKERTAPE_DATA_DIR"):
            EmbeddedBroker(tmp_path / "taken", 1).join()

    def test_a_comma_in_its_path(self, tmp_path: Path) -> None:
        with pytest.raises(BrokerError, match="comma"):
            EmbeddedBroker(tmp_path / "a,b", 1).join()

    def test_cluster_ids_are_kafkas(self) -> None:
        made = {storage.new_cluster_id() for _ in range(200)}
        assert len(made) == 200
        assert all(storage.CLUSTER_ID.fullmatch(one) and one[0] != "-" for one in made)

    def test_the_formatter_fails(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", "raise SystemExit('no space left')"]
        with pytest.raises(BrokerError, match="cannot be formatted: no space left"):
            storage.format_data(tmp_path / "data", "", command, CLUSTER)
        assert not (tmp_path / "data").exists()


class TestProperties:
    def test_paths_in_any_alphabet(self) -> None:
        text = config.properties(Path("/tmp/Büro \\ 本 🎈"), 9092, 9093)
        line = next(line for line in text.splitlines() if line.startswith("log.dirs="))
        assert line.isascii()
        units = re.sub(r"\\u(....)", lambda m: chr(int(m[1], 16)), line).replace("\\\\", "\\")
        assert units.encode("utf-16", "surrogatepass").decode("utf-16").endswith("Büro \\ 本 🎈")

    def test_takes_what_our_topics_take(self) -> None:
        lines = config.properties(Path("/d"), 9092, 9093).splitlines()
        assert f"message.max.bytes={RECORD_BYTES_MAX}" in lines
        assert f"replica.fetch.max.bytes={RECORD_BYTES_MAX}" in lines
        assert "auto.create.topics.enable=false" in lines


class TestUsers:
    def test_live_ones_stay_and_dead_ones_go(
        self, tmp_path: Path, other: subprocess.Popen[bytes]
    ) -> None:
        users = Users(tmp_path / "users")
        users.add()
        began = process.created(other.pid)
        assert began is not None
        (tmp_path / "users" / str(other.pid)).write_text(
            json.dumps({"pid": other.pid, "created": began})
        )
        (tmp_path / "users" / "1").write_text(json.dumps({"pid": 1, "created": 5.0}))  # recycled
        (tmp_path / "users" / "2").write_text('{"pid": 2')  # its writer was killed
        assert users.live() == sorted([os.getpid(), other.pid])
        assert {file.name for file in (tmp_path / "users").iterdir()} == {
            str(os.getpid()),
            str(other.pid),
        }
        other.kill()
        other.wait()
        users.remove()
        assert users.live() == []

    def test_kept(self, tmp_path: Path) -> None:
        users = Users(tmp_path / "users")
        assert not users.kept
        users.keep(True)
        assert users.kept
        assert users.live() == []
        users.keep(False)
        users.keep(False)
        assert not users.kept


class TestProcesses:
    def test_a_zombie_is_not_alive(self, other: subprocess.Popen[bytes]) -> None:
        began = process.created(other.pid)
        assert began is not None
        assert Identity(other.pid, began).alive
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # ended, not collected
        assert not Identity(other.pid, began).alive

    def test_a_later_process_of_the_same_pid_is_another(self) -> None:
        me = Identity.mine()
        assert me.alive
        assert not Identity(me.pid, me.created - 60).alive

    @pytest.mark.parametrize("at_once", [False, True])
    def test_a_recycled_pid_is_never_ended(
        self, tmp_path: Path, other: subprocess.Popen[bytes], at_once: bool
    ) -> None:
        file = tmp_path / "pid.json"
        mark = str(tmp_path / "server.properties")
        Running(other.pid, 9092).save(file)
        assert process.find(file, mark) is None
        assert process.end(other.pid, mark, 0, at_once=at_once)
        assert other.poll() is None

    def test_one_is_found_without_its_pid_file(self, tmp_path: Path) -> None:
        mark = str(tmp_path / "server.properties")
        command = [sys.executable, "-c", "import time; time.sleep(60)", mark]
        pid = process.spawn(command, tmp_path / "log")
        assert process.find(tmp_path / "none.json", mark) == Running(pid, 0)
        assert process.end(pid, mark, 10)
        assert process.find(tmp_path / "none.json", mark) is None

    @pytest.mark.parametrize("text", ["", "{}", '{"pid": 1}', "[]", "null"])
    def test_a_broken_pid_file_names_nobody(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "pid.json").write_text(text)
        assert process.find(tmp_path / "pid.json", str(tmp_path)) is None

    def test_the_log_before_is_kept(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        for word in ("first", "second"):
            command = [sys.executable, "-c", f"print({word!r})", str(tmp_path)]
            pid = process.spawn(command, log)
            while process.alive(pid, str(tmp_path)):
                pass
        assert (tmp_path / "log.1").read_text().strip() == "first"
        assert log.read_text().strip() == "second"


class TestJars:
    def test_a_jar_cut_off_by_a_kill_is_fetched_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = tmp_path / "m2"
        cached = repository / "org" / "kafka" / "kafka.jar"
        cached.parent.mkdir(parents=True)
        cached.write_bytes(b"half a jar")
        built: list[bool] = []

        def build(*, update: bool) -> list[Path]:
            """As jgo: takes what is in the repository, and fetches what is not."""
            built.append(update)
            if not cached.exists():
                with zipfile.ZipFile(cached, "w") as jar:
                    jar.writestr("kafka", "")
            return [cached]

        monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "jgo"))
        monkeypatch.setenv("M2_REPO", str(repository))
        monkeypatch.setattr(jars, "_build", build)
        assert jars.classpath(print) == str(cached)
        assert built == [False, True]

    def test_no_maven_central(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def build(*, update: bool) -> list[Path]:
            raise OSError("connection refused")

        monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "jgo"))
        monkeypatch.setattr(jars, "_build", build)
        with pytest.raises(BrokerError, match=r"connection refused.*set KAFKA_BROKERS"):
            jars.classpath(print)
