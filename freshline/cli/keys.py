"""`freshline keys`: API keys of the search service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from freshline.cli.errors import Failure

app = typer.Typer(no_args_is_help=True, help="API keys of the search service (FRESHLINE_API_KEYS).")

File = Annotated[
    Path | None, typer.Option("--file", help="The file of keys, made if missing.", show_default="FRESHLINE_API_KEYS")
]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Who gets it: what the log and the file call it.")],
    *,
    rate: Annotated[str | None, typer.Option(help="How often it may ask.", show_default="FRESHLINE_API_RATE")] = None,
    file: File = None,
) -> None:
    """Add a key, and print it: the file holds its SHA-256 only, so this is the one time that it can be seen.

    Several keys may have one name: so one is replaced by another without a gap. Running services see it in a second.

    Example: freshline keys new web-shop --rate 200/second
    """
    from search.keys import KeyFileError, new_key, read_keys

    path = _path(file)
    try:
        key, line = new_key(name, rate)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before:
            read_keys(path)  # what can't be read must not grow
        with os.fdopen(os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600), "a", encoding="utf-8") as out:
            out.write(line + "\n" if before.endswith("\n") or not before else f"\n{line}\n")
    except (KeyFileError, ValueError) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    typer.echo(key)


@app.command("list")
def list_keys(file: File = None) -> None:
    """Print whose keys there are, and how often each may ask. To take one back, strike out its line.

    Example: freshline keys list
    """
    from search.keys import KeyFileError, read_keys

    try:
        holders = read_keys(_path(file))
    except KeyFileError as error:
        raise Failure(str(error)) from error
    for digest, holder in holders.items():
        typer.echo(f"{holder.name}  {holder.rate or 'any rate'}  sha256 {digest[:12]}…")


def _path(file: Path | None) -> Path:
    from freshline.settings import Settings

    path = file or Settings().api_keys
    if path is None:
        raise Failure("which file of keys? --file, or FRESHLINE_API_KEYS")
    return path
