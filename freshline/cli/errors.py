"""How a command says that it failed: one clear line."""

from __future__ import annotations

from rich.console import Console


class Failure(RuntimeError):
    """The command can't do what was asked; its message is all that the user needs."""


def report(message: str) -> None:
    """Print an error to stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[red]error:[/red] {_plain(message)}")


def _plain(message: str) -> str:
    return message.replace("[", "\\[")
