"""The local stack without its servers: state, processes, ports, downloads, refusals."""

import hashlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.downloads import check_digest, download, run
from infra.local.errors import StackError
from infra.local.kafka import Kafka, java_version
from infra.local.locks import locked
from infra.local.ports import CANDIDATES, HOST, check_port, is_free, reserve
from infra.local.processes import Process, spawn, stop_all, wait_any
from infra.local.stack import LOCK_FILE, LocalStack
from infra.local.state import STATE_FILE, State

IGNORES_SIGTERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
)


@contextmanager
def process(folder: Path, code: str = "import signal; print('ready', flush=True); signal.pause()") -> Iterator[Process]:
    """A Python process that has begun to run its code."""
    log = folder / "log"
    os.mkfifo(log)
    # A pipe as its log: reading it waits for the first line.
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    started = spawn([sys.executable, "-c", code], cwd=folder, env=os.environ, log=log)
    with os.fdopen(reader) as lines:
        assert lines.readline() == "ready\n"
        try:
            yield started
        finally:
            started.send(signal.SIGKILL)
            started.wait()


def stack(folder: Path, **ports: int) -> LocalStack:
    return LocalStack(folder / "data", cache=folder / "cache", ports=ports)


class TestProcesses:
    def test_runs_in_its_own_session_until_stopped(self, tmp_path: Path) -> None:
        with process(tmp_path) as started:
            assert started.alive
            assert os.getsid(started.pid) == started.pid
            assert not started.wait(0)
            stop_all([started], grace=10)
            assert not started.alive
            assert started.wait(0)

    def test_a_recycled_pid_is_another_process(self, tmp_path: Path) -> None:
        with process(tmp_path) as started:
            earlier = Process(started.pid, "an earlier start")
            assert not earlier.alive
            stop_all([earlier], grace=10)
            assert started.alive

    def test_one_that_ignores_sigterm_is_killed(self, tmp_path: Path) -> None:
        with process(tmp_path, IGNORES_SIGTERM) as started:
            stop_all([started], grace=0.1)
            assert not started.alive

    def test_waits_for_the_first_to_end(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        with process(tmp_path / "a") as a, process(tmp_path / "b") as b:
            assert wait_any([a, b], 0) is None
            b.send(signal.SIGKILL)
            assert wait_any([a, b]) == b


class TestState:
    def test_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        state = State(tmp_path / STATE_FILE, {"kafka": 20_001}, {"kafka": Process(1, "then")})
        state.save()
        assert State.load(tmp_path) == state

    def test_is_empty_at_first(self, tmp_path: Path) -> None:
        assert State.load(tmp_path) == State(tmp_path / STATE_FILE)

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"ports": {}, "processes": {"kafka": {"pid": 1}}}'])
    def test_says_what_is_wrong(self, tmp_path: Path, content: str) -> None:
        (tmp_path / STATE_FILE).write_text(content)
        with pytest.raises(StackError, match=r"stack\.json can't be read .* delete"):
            State.load(tmp_path)

    def test_a_stale_one_is_recognised(self, tmp_path: Path) -> None:
        own_pid = os.getpid()
        data = tmp_path / "data"
        data.mkdir()
        State(data / STATE_FILE, {"kafka": 1}, {"kafka": Process(own_pid, "an earlier start")}).save()
        kafka, qdrant = stack(tmp_path).status()
        assert (kafka.state, kafka.pid, qdrant.state) == ("down", None, "down")
        stack(tmp_path).down()  # must not end this very process


class TestPorts:
    def test_are_free_and_outside_the_ephemeral_range(self, tmp_path: Path) -> None:
        first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        ports = reserve(["a", "b"], {}, owner=tmp_path, ledger_folder=tmp_path)
        assert len(set(ports.values())) == 2
        assert all(is_free(port) and port in CANDIDATES and port < first_ephemeral for port in ports.values())

    def test_no_two_stacks_share_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("infra.local.ports.CANDIDATES", range(20_100, 20_104))
        monkeypatch.setattr("infra.local.ports.is_free", lambda _: True)
        owners = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
        for owner in owners:
            owner.mkdir()
        first = reserve(["a", "b"], {}, owner=owners[0], ledger_folder=tmp_path)
        second = reserve(["a", "b"], {}, owner=owners[1], ledger_folder=tmp_path)
        assert not set(first.values()) & set(second.values())
        with pytest.raises(StackError, match="no free port"):
            reserve(["a"], {}, owner=owners[2], ledger_folder=tmp_path)
        owners[0].rmdir()
        assert reserve(["a"], {}, owner=owners[2], ledger_folder=tmp_path)["a"] in first.values()

    def test_wanted_ones_are_kept(self, tmp_path: Path) -> None:
        assert reserve(["a"], {"a": 9092}, owner=tmp_path, ledger_folder=tmp_path) == {"a": 9092}

    def test_one_port_for_two_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StackError, match="each port"):
            reserve(["a", "b"], {"a": 9092, "b": 9092}, owner=tmp_path, ledger_folder=tmp_path)

    def test_a_taken_one_is_named(self) -> None:
        with socket.socket() as other:
            other.bind((HOST, 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(StackError, match=rf"port {port} \(kafka\) is taken .* --kafka-port"):
                check_port("kafka", port)

    @pytest.mark.parametrize("port", [0, -1, 65_536])
    def test_no_port_at_all_is_named(self, tmp_path: Path, port: int) -> None:
        with pytest.raises(StackError, match="1 to 65535"):
            stack(tmp_path, kafka=port).up()

    def test_a_refused_one_is_not_remembered(self, tmp_path: Path) -> None:
        with pytest.raises(StackError):
            stack(tmp_path, kafka=0).up()
        assert State.load(tmp_path / "data").ports == {}


class TestDownloads:
    def test_one_of_another_digest_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "server"
        file.write_bytes(b"not the server")
        actual, expected = hashlib.sha256(b"not the server").hexdigest(), "0" * 64
        with pytest.raises(StackError, match=rf"{file} .*{actual}.*{expected}"):
            check_digest(file, expected)
        check_digest(file, actual)

    def test_a_damaged_cache_is_refused(self, tmp_path: Path) -> None:
        kafka = Kafka(tmp_path, tmp_path, {})
        kafka.jars.mkdir()
        with pytest.raises(StackError, match="is missing: delete"):
            kafka.install()

    def test_several_at_once_download_once(self, tmp_path: Path) -> None:
        fills: list[Path] = []

        def fill(folder: Path) -> None:
            fills.append(folder)
            (folder / "file").write_text("content")

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: download(tmp_path / "thing", fill), range(8)))
        assert len(fills) == 1
        assert [file.name for file in (tmp_path / "thing").iterdir()] == ["file"]

    def test_an_interrupted_one_leaves_nothing(self, tmp_path: Path) -> None:
        def fill(folder: Path) -> None:
            (folder / "half").touch()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            download(tmp_path / "thing", fill)
        assert [file.name for file in tmp_path.iterdir()] == [".thing.lock"]

    def test_a_failing_tool_is_quoted(self, tmp_path: Path) -> None:
        with pytest.raises(StackError, match=r"failed with exit code 3:\nno such package"):
            run(["sh", "-c", "echo no such package; exit 3"], cwd=tmp_path)


class TestTools:
    def test_all_missing_ones_are_named_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(StackError) as error:
            LocalStack(tmp_path / "data", cache=tmp_path / "cache", with_prometheus=True).up()
        lines = str(error.value).splitlines()
        assert [line.split()[0] for line in lines] == ["java", "mvn", "npm", "alertmanager", "prometheus"]
        assert all("apt-get install" in line for line in lines)

    def test_what_is_cached_needs_no_downloader(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        kafka = Kafka(tmp_path, tmp_path, {})
        kafka.jars.mkdir()
        assert [line.split()[0] for line in kafka.missing()] == ["java"]

    @pytest.mark.parametrize(("says", "version"), [('openjdk version "21.0.1"', 21), ('java version "1.8.0"', 1)])
    def test_java_version(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, version: int) -> None:
        java = tmp_path / "java"
        java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
        java.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert java_version() == version


class TestFolder:
    def test_one_with_other_things_is_refused(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        data.mkdir()
        (data / "thesis.tex").touch()
        with pytest.raises(StackError, match="other things"):
            stack(tmp_path).up()
        with pytest.raises(StackError, match="other things"):
            stack(tmp_path).down(delete=True)
        assert [file.name for file in data.iterdir()] == ["thesis.tex"]

    def test_one_that_another_command_is_deleting_is_awaited(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        with ThreadPoolExecutor(1) as pool:
            with locked(data / LOCK_FILE):
                (data / "kafka").mkdir()  # what is left of a stack in the middle of `down --delete`
                down = pool.submit(stack(tmp_path).down)
                with pytest.raises(TimeoutError):
                    down.result(timeout=0.2)
                shutil.rmtree(data)
            down.result(timeout=10)

    def test_down_without_a_stack_makes_nothing(self, tmp_path: Path) -> None:
        stack(tmp_path).down(delete=True)
        assert list(tmp_path.iterdir()) == []

    def test_env_says_what_is_down(self, tmp_path: Path) -> None:
        with pytest.raises(StackError, match=r"not up \(kafka, qdrant\): freshline stack up"):
            stack(tmp_path).env()

    def test_a_part_that_was_never_started_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StackError, match="kafka was not started"):
            _ = stack(tmp_path).kafka

    def test_the_lock_of_a_deleted_folder_locks_anew(self, tmp_path: Path) -> None:
        lock = tmp_path / "data" / ".lock"
        with locked(lock):
            lock.unlink()
            lock.parent.rmdir()
        with locked(lock):
            assert lock.exists()
