"""Ports on the loopback address: free ones, each promised to one stack of this machine."""

import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.local.errors import StackError
from infra.local.locks import locked

HOST = "127.0.0.1"
# Below the range that Linux gives outgoing connections: a client that retries a server that is away could
# otherwise be given the server's own port, and keep it from coming back.
CANDIDATES = range(20_000, 32_000)
LEDGER = "ports.json"


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Whether something accepts connections on the port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def check_port(name: str, port: int) -> None:
    """Raise StackError when the port is no port or another program has it."""
    if not 1 <= port <= 65_535:
        raise StackError(f"--{name}-port {port}: a port is a number from 1 to 65535")
    if not is_free(port):
        raise StackError(f"port {port} ({name}) is taken by another program: name another with --{name}-port")


def reserve(names: Sequence[str], wanted: Mapping[str, int], *, owner: Path, ledger_folder: Path) -> dict[str, int]:
    """A port for each name: the wanted one, else a free one that no other stack holds.

    A stack (`owner`: its data folder) keeps its ports, running or not, until the folder is gone.
    """
    ledger_file = ledger_folder / LEDGER
    with locked(ledger_folder / ".ports.lock"):
        ledger = _read(ledger_file)
        chosen: dict[str, int] = {}
        for name in names:
            chosen[name] = wanted[name] if name in wanted else _pick({*ledger, *chosen.values(), *wanted.values()})
        ledger |= dict.fromkeys(chosen.values(), str(owner))
        if len(set(chosen.values())) < len(chosen):
            raise StackError(f"each port can serve one thing only: {chosen}")
        ledger_file.write_text(json.dumps(ledger))
    return chosen


def _read(ledger_file: Path) -> dict[int, str]:
    """The reservations of all stacks whose folder still exists."""
    try:
        ledger = json.loads(ledger_file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {int(port): owner for port, owner in ledger.items() if Path(owner).exists()}


def _pick(taken: set[int]) -> int:
    for _ in range(1_000):
        port = secrets.choice(CANDIDATES)
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port between {CANDIDATES.start} and {CANDIDATES.stop}")
