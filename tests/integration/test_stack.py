"""The local stack as its users run it: real servers, commands in processes of their own, nothing left behind."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from infra.local.errors import StackError
from infra.local.stack import LocalStack
from infra.local.state import STATE_FILE, State
from infra.local.versions import QDRANT_VERSION

Command = Callable[..., "subprocess.Popen[str]"]

FRESHLINE = [sys.executable, "-c", "from freshline.cli import main; main()", "stack"]
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1"}


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """The data folder of a stack that is stopped in the end, whatever the test did."""
    folder = tmp_path / "data"
    yield folder
    LocalStack(folder).down()


@pytest.fixture
def command(data: Path) -> Command:
    """Starts `freshline stack …` on the data folder."""
    environment = os.environ | {"FRESHLINE_STACK_DATA": str(data)}

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command_line = [*FRESHLINE, *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command_line, env=environment, stdout=pipe, stderr=pipe, text=True)

    return start


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def processes_of(folder: Path) -> list[psutil.Process]:
    """All processes on this machine that run in the folder or name it."""
    found = []
    for process in psutil.process_iter():
        try:
            mentions = [process.cwd(), *process.cmdline()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if any(str(folder) in mention for mention in mentions):
            found.append(process)
    return found


def report(command: Command) -> tuple[int, dict[str, Any]]:
    """The exit code and the parts by name of `status --json`."""
    code, output, _ = finish(command("status", "--json"))
    return code, {part["name"]: part for part in json.loads(output)["parts"]}


def listening_addresses(processes: Sequence[psutil.Process]) -> set[str]:
    connections = [connection for process in processes for connection in process.net_connections()]
    return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}


def make_kafka_refuse(data: Path) -> None:
    """Leave the storage of another node, which Kafka does not start on."""
    storage = data / "kafka" / "storage"
    storage.mkdir(parents=True)
    (storage / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=other\n")
    State(data / STATE_FILE).save()


@retry(retry=retry_if_result(lambda started: not started), stop=stop_after_delay(60), wait=wait_fixed(0.02))
def kafka_started(data: Path) -> bool:
    return "kafka" in State.load(data).processes


def test_up_env_crash_up_down(command: Command, data: Path) -> None:
    code, output, errors = finish(command("up"))
    assert code == 0, errors
    assert "kafka" in output

    code, first = report(command)
    assert code == 0
    assert {name: part["state"] for name, part in first.items()} == {"kafka": "up", "qdrant": "up"}

    assert finish(command("up"))[0] == 0
    assert report(command)[1] == first, "a second up changes nothing"

    os.kill(first["kafka"]["pid"], signal.SIGKILL)
    code, crashed = report(command)
    assert code == 1
    assert (crashed["kafka"]["state"], crashed["qdrant"]["state"]) == ("down", "up")
    code, _, errors = finish(command("env"))
    assert code == 1
    assert "not up (kafka)" in errors

    assert finish(command("up"))[0] == 0
    _, restarted = report(command)
    assert restarted["qdrant"] == first["qdrant"]
    assert restarted["kafka"]["pid"] != first["kafka"]["pid"]
    assert restarted["kafka"]["ports"] == first["kafka"]["ports"]

    assert finish(command("down"))[0] == 0
    assert processes_of(data) == []
    assert report(command)[0] == 1
    assert finish(command("down", "--delete"))[0] == 0
    assert not data.exists()
    assert finish(command("down"))[0] == 0


def test_env_leads_to_the_servers(stack: LocalStack, command: Command) -> None:
    _, output, _ = finish(command("env", "--json", "--data", str(stack.data)))
    variables = json.loads(output)
    assert variables == stack.env()
    _, shell, _ = finish(command("env", "--data", str(stack.data)))
    assert shell.splitlines() == [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]

    brokers = AdminClient({"bootstrap.servers": variables["FRESHLINE_KAFKA_BROKERS"]}).list_topics(timeout=10).brokers
    assert [f"{broker.host}:{broker.port}" for broker in brokers.values()] == [variables["FRESHLINE_KAFKA_BROKERS"]]
    connection = HTTPConnection(variables["FRESHLINE_QDRANT_URL"].removeprefix("http://"))
    connection.request("GET", "/")
    assert json.loads(connection.getresponse().read())["version"] == QDRANT_VERSION
    connection.close()
    socket.create_connection(("127.0.0.1", int(variables["FRESHLINE_QDRANT_GRPC_PORT"]))).close()


def test_binds_loopback_only(stack: LocalStack) -> None:
    assert listening_addresses(processes_of(stack.data)) <= LOOPBACK


def test_two_stacks_side_by_side(data: Path, tmp_path: Path) -> None:
    one, two = LocalStack(data), LocalStack(tmp_path / "two")
    try:
        one.up()
        two.up()
        assert not set(State.load(one.data).ports.values()) & set(State.load(two.data).ports.values())
        assert not set(one.env().values()) & set(two.env().values())
        two.down()
        assert one.env()
        assert processes_of(two.data) == []
    finally:
        two.down()


def test_two_ups_at_once_start_one_stack(command: Command, data: Path) -> None:
    first, second = command("up", "--json"), command("up", "--json")
    results = [finish(first), finish(second)]
    assert [code for code, _, _ in results] == [0, 0], results
    reports = [json.loads(output) for _, output, _ in results]
    assert reports[0] == reports[1]
    assert len(processes_of(data)) == 2


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_up_leaves_none(command: Command, data: Path, signal_number: signal.Signals) -> None:
    process = command("up")
    assert kafka_started(data)
    process.send_signal(signal_number)
    assert finish(process)[0] == 130
    assert processes_of(data) == []


def test_foreground_stops_all_at_its_end(command: Command, data: Path) -> None:
    process = command("up", "--foreground", "--json")
    assert process.stderr is not None
    assert any("Ctrl-C" in line for line in process.stderr)
    assert len(processes_of(data)) == 2
    process.send_signal(signal.SIGINT)
    code, output, _ = finish(process)
    assert code == 0
    assert json.loads(output)["up"] is True
    assert processes_of(data) == []


def test_a_part_that_dies_at_start_is_shown_and_the_others_stopped(command: Command, data: Path) -> None:
    make_kafka_refuse(data)
    code, _, errors = finish(command("up"))
    assert code == 1
    assert "kafka ended while starting; the end of" in errors
    assert "node id" in errors
    assert processes_of(data) == []


def test_a_failed_up_leaves_what_ran_before(data: Path) -> None:
    make_kafka_refuse(data)
    stack = LocalStack(data)
    stack.start("qdrant")
    with pytest.raises(StackError, match="kafka ended while starting"):
        stack.up()
    assert stack.qdrant.alive


def test_one_part_can_be_killed_and_started(data: Path) -> None:
    stack = LocalStack(data)
    stack.up()
    killed = stack.qdrant
    stack.kill("qdrant")
    assert [part.state for part in stack.status()] == ["up", "down"]
    stack.start("qdrant")
    assert [part.state for part in stack.status()] == ["up", "up"]
    assert stack.qdrant != killed


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus and prometheus-alertmanager")
def test_with_prometheus(command: Command, data: Path) -> None:
    assert finish(command("up", "--with-prometheus"))[0] == 0
    code, parts = report(command)
    assert (code, len(parts)) == (0, 4)
    config = json.loads((data / "prometheus" / "prometheus.yml").read_text())
    targets = {job["job_name"]: job.get("static_configs") for job in config["scrape_configs"]}
    assert targets["qdrant"] == [{"targets": [f"127.0.0.1:{parts['qdrant']['ports']['qdrant']}"]}]
    assert listening_addresses(processes_of(data)) <= LOOPBACK
    assert finish(command("down"))[0] == 0
    assert processes_of(data) == []
