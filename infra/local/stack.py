"""The local stack as a whole: started, watched and stopped."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.local.errors import StackError
from infra.local.kafka import Kafka
from infra.local.launch import await_ready, launch
from infra.local.locks import locked
from infra.local.parts import Part
from infra.local.ports import HOST, check_port, reserve
from infra.local.processes import Process, stop_all, wait_any
from infra.local.prometheus import Alertmanager, Prometheus
from infra.local.qdrant import Qdrant
from infra.local.state import STATE_FILE, State

PARTS: dict[str, type[Part]] = {part.name: part for part in (Kafka, Qdrant, Alertmanager, Prometheus)}
CORE = ("kafka", "qdrant")
PORT_NAMES = tuple(name for part in PARTS.values() for name in part.port_names)
LOCK_FILE = ".lock"
STOP_SECONDS = 20


@dataclass(frozen=True)
class PartStatus:
    """How one part is; `unready`: its process runs but does not answer."""

    name: str
    state: Literal["up", "unready", "down"]
    pid: int | None
    ports: dict[str, int]
    log: str


class LocalStack:
    """Kafka and Qdrant (and Prometheus with Alertmanager) as processes that outlive this one.

    `data` is the stack's folder and identity; `cache` what stacks share (`~/.cache/freshline`, or
    `FRESHLINE_STACK_CACHE`); `ports` those that must be certain ones, by name (see `PORT_NAMES`): the others are
    chosen free once, and remembered. Every method may raise StackError.
    """

    def __init__(
        self,
        data: Path,
        *,
        cache: Path | None = None,
        ports: Mapping[str, int] | None = None,
        with_prometheus: bool = False,
    ) -> None:
        self.data = data.expanduser().absolute()
        self.cache = (cache or _default_cache()).expanduser().absolute()
        self._wanted_ports = dict(ports or {})
        self._with_prometheus = with_prometheus

    def up(self, report: Callable[[str], None] = lambda _: None) -> None:
        """Start what does not run, and return when all parts answer; on any failure, stop what this call started."""
        with self._locked() as state:
            names = [name for name in PARTS if name in CORE or self._with_prometheus or name in state.processes]
            self._start(state, names, report)

    def start(self, name: str) -> None:
        """Start one part, unless it runs, and return when it answers."""
        with self._locked() as state:
            self._start(state, [name], lambda _: None)

    def stop(self, name: str) -> None:
        """End one part in good order."""
        stop_all([self.process(name)], grace=STOP_SECONDS)

    def kill(self, name: str) -> None:
        """End one part at once, as a crash would."""
        process = self.process(name)
        process.send(signal.SIGKILL)
        process.wait()

    def down(self, *, delete: bool = False) -> None:
        """Stop all parts; with `delete`, remove the data folder too."""
        if not self.data.exists():
            return
        with self._locked() as state:
            stop_all(list(state.processes.values()), grace=STOP_SECONDS)
            if delete:
                shutil.rmtree(self.data)
            elif state.processes:
                state.processes.clear()
                state.save()

    def wait(self) -> str:
        """Wait until one of the parts has ended; its name."""
        processes = State.load(self.data).processes
        if not processes:
            raise StackError(f"nothing runs in {self.data}")
        ended = wait_any(processes.values())
        return next(name for name, process in processes.items() if process == ended)

    def status(self) -> list[PartStatus]:
        """How each part is that belongs to the stack."""
        state = State.load(self.data)
        return [self._status(state, name) for name in PARTS if name in CORE or name in state.processes]

    def env(self) -> dict[str, str]:
        """The settings that make a Freshline process use this stack; StackError unless it is up."""
        if down := [part.name for part in self.status() if part.name in CORE and part.state != "up"]:
            raise StackError(f"the stack in {self.data} is not up ({', '.join(down)}): freshline stack up")
        ports = State.load(self.data).ports
        return {
            "FRESHLINE_KAFKA_BROKERS": f"{HOST}:{ports['kafka']}",
            "FRESHLINE_QDRANT_URL": f"http://{HOST}:{ports['qdrant']}",
            "FRESHLINE_QDRANT_GRPC_PORT": str(ports["qdrant-grpc"]),
        }

    def process(self, name: str) -> Process:
        """The process of a part as last started; it may have ended."""
        try:
            return State.load(self.data).processes[name]
        except KeyError:
            raise StackError(f"{name} was not started in {self.data}: freshline stack up") from None

    @property
    def kafka(self) -> Process:
        """The broker's process."""
        return self.process("kafka")

    @property
    def qdrant(self) -> Process:
        """Qdrant's process."""
        return self.process("qdrant")

    def part(self, name: str) -> Part:
        """A part by its name."""
        if name not in PARTS:
            raise StackError(f"no part is called {name}: there are {', '.join(PARTS)}")
        return PARTS[name](self.data / name, self.cache, State.load(self.data).ports)

    def _start(self, state: State, names: Sequence[str], report: Callable[[str], None]) -> None:
        self._assign_ports(state)
        parts = [self.part(name) for name in names]
        to_start = [part for part in parts if not state.running(part.name)]
        if problems := [problem for part in to_start for problem in part.missing()]:
            raise StackError("\n".join(problems))
        for part in to_start:
            report(f"{part.name}: installing")
            part.install()
        try:
            for part in to_start:
                report(f"{part.name}: starting")
                launch(part, state)
            for part in parts:
                report(f"{part.name}: waiting until it answers")
                await_ready(part, state.processes[part.name])
        except BaseException:
            stop_all([state.processes[part.name] for part in to_start if state.running(part.name)], grace=STOP_SECONDS)
            raise

    def _assign_ports(self, state: State) -> None:
        for name, port in self._wanted_ports.items():
            part = next(part.name for part in PARTS.values() if name in part.port_names)
            if state.running(part) and state.ports[name] != port:
                raise StackError(f"{part} runs with {name} port {state.ports[name]}: freshline stack down, then up")
            if state.ports.get(name) != port:
                check_port(name, port)
        wanted = state.ports | self._wanted_ports
        state.ports = reserve(PORT_NAMES, wanted, owner=self.data, ledger_folder=self.cache)
        state.save()

    def _status(self, state: State, name: str) -> PartStatus:
        part, process = self.part(name), state.running(name)
        ports = {port: state.ports[port] for port in part.port_names if port in state.ports}
        if process is None:
            return PartStatus(name, "down", None, ports, str(part.log))
        return PartStatus(name, "up" if part.ready() else "unready", process.pid, ports, str(part.log))

    @contextmanager
    def _locked(self) -> Iterator[State]:
        """The stack's state, while no other command may change it."""
        if self.data.exists() and not self.data.is_dir():
            raise StackError(f"{self.data} is not a folder")
        with locked(self.data / LOCK_FILE):
            self._check_folder()
            yield State.load(self.data)

    def _check_folder(self) -> None:
        """Refuse a folder with other things in it: it is ours alone, to fill and to delete.

        Asked under the lock: another command that is just filling or deleting the folder has done so then.
        """
        if not (self.data / STATE_FILE).exists() and any(self.data.glob("[!.]*")):
            (self.data / LOCK_FILE).unlink()
            raise StackError(f"{self.data} holds other things than a stack: name another folder with --data")


def _default_cache() -> Path:
    return Path(os.environ.get("FRESHLINE_STACK_CACHE") or "~/.cache/freshline")
