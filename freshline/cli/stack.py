"""`freshline stack`: Kafka and Qdrant (and Prometheus) on this machine, without Docker."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from infra.local.stack import LocalStack, PartStatus

app = typer.Typer(no_args_is_help=True, help="Run Kafka and Qdrant on this machine, for development and tests.")

Data = Annotated[Path, typer.Option(envvar="FRESHLINE_STACK_DATA", help="The stack's folder: data, logs, ports.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Port = Annotated[int | None, typer.Option(help="Default: a free one, chosen once and kept.", show_default=False)]
DEFAULT_DATA = Path(".stack")


@app.command()
def up(
    *,
    data: Data = DEFAULT_DATA,
    with_prometheus: Annotated[bool, typer.Option("--with-prometheus", help="And Prometheus, Alertmanager.")] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop all at the end.")] = False,
    kafka_port: Port = None,
    kafka_controller_port: Port = None,
    qdrant_port: Port = None,
    qdrant_grpc_port: Port = None,
    prometheus_port: Port = None,
    alertmanager_port: Port = None,
    as_json: Json = False,
) -> None:
    """Start what does not run yet, and return when all of it answers. Safe to repeat.

    Example: freshline stack up --kafka-port 9092 && eval "$(freshline stack env)"
    """
    ports = {
        "kafka": kafka_port,
        "kafka-controller": kafka_controller_port,
        "qdrant": qdrant_port,
        "qdrant-grpc": qdrant_grpc_port,
        "prometheus": prometheus_port,
        "alertmanager": alertmanager_port,
    }
    _interrupt_on_termination()
    stack = _stack(data, {name: port for name, port in ports.items() if port is not None}, with_prometheus)
    with _failures(), Console(stderr=True).status("stack") as spinner:
        stack.up(spinner.update)
    try:
        _show(stack, as_json)
        if foreground:
            _stay(stack)
    finally:
        if foreground:
            stack.down()


@app.command()
def down(
    data: Data = DEFAULT_DATA,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the stack's folder with all data too.")] = False,
) -> None:
    """Stop all parts. Safe to repeat.

    Example: freshline stack down --delete
    """
    with _failures(), Console(stderr=True).status("stopping"):
        _stack(data).down(delete=delete)


@app.command()
def status(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Show how each part is; exits 0 only if all are up.

    Example: freshline stack status --json
    """
    with _failures():
        parts = _show(_stack(data), as_json)
    if any(part.state != "up" for part in parts):
        raise typer.Exit(1)


@app.command()
def env(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Print the settings that point Freshline at the stack, for a shell.

    Example: eval "$(freshline stack env)"
    """
    with _failures():
        variables = _stack(data).env()
    lines = (f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    typer.echo(json.dumps(variables, indent=2) if as_json else "\n".join(lines))


def _stack(data: Path, ports: dict[str, int] | None = None, with_prometheus: bool = False) -> LocalStack:
    from infra.local.stack import LocalStack

    return LocalStack(data, ports=ports, with_prometheus=with_prometheus)


@contextmanager
def _failures() -> Iterator[None]:
    from infra.local.errors import StackError

    try:
        yield
    except (StackError, OSError) as error:
        raise Failure(str(error)) from error


def _interrupt_on_termination() -> None:
    """Make SIGTERM and a closed terminal act as Ctrl-C does, which stops what was started."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _stay(stack: LocalStack) -> None:
    """Return at Ctrl-C; fail when a part ends."""
    console = Console(stderr=True)
    try:
        console.print("up; Ctrl-C stops it")
        ended = stack.wait()
    except KeyboardInterrupt:
        console.print("stopping")
    else:
        raise Failure(f"{ended} has ended: stopped the rest")


def _show(stack: LocalStack, as_json: bool) -> list[PartStatus]:
    parts = stack.status()
    if as_json:
        up = all(part.state == "up" for part in parts)
        typer.echo(json.dumps({"up": up, "data": str(stack.data), "parts": [asdict(part) for part in parts]}, indent=2))
    else:
        Console().print(_table(parts))
        typer.echo(f"data and logs: {stack.data}")
    return parts


def _table(parts: list[PartStatus]) -> Table:
    table = Table("part", "state", "pid", "ports", box=None, header_style="bold", pad_edge=False)
    for part in parts:
        colour = "green" if part.state == "up" else "red"
        ports = ", ".join(f"{name} {port}" for name, port in part.ports.items())
        table.add_row(part.name, f"[{colour}]{part.state}[/]", str(part.pid or ""), ports)
    return table
