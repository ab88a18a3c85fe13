"""Downloads into the shared cache: each one once, whole or not at all, and of the digest that is pinned."""

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.local.errors import StackError
from infra.local.locks import locked


def download(target: Path, fill: Callable[[Path], None]) -> None:
    """Make the folder `target` by `fill(folder)`, unless it is there; safe when several processes do so at once."""
    with locked(target.with_name(f".{target.name}.lock")):
        if target.exists():
            return
        with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
            folder = Path(scratch) / target.name
            folder.mkdir()
            fill(folder)
            folder.rename(target)


def check_digest(file: Path, sha256: str) -> None:
    """Raise StackError unless the file is there and has this digest."""
    if not file.is_file():
        raise StackError(f"{file} is missing: delete {file.parent} and try again")
    with file.open("rb") as content:
        actual = hashlib.file_digest(content, "sha256").hexdigest()
    if actual != sha256:
        raise StackError(
            f"{file} is not the file that is pinned: its sha256 is {actual}, expected {sha256}; "
            f"if it was damaged, delete {file.parent} and try again"
        )


def run(command: Sequence[str], *, cwd: Path) -> None:
    """Run a tool to its end; StackError with the end of its output when it fails."""
    result = subprocess.run(  # noqa: S603 (our own command lines)
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines()[-10:]
        raise StackError("\n".join([f"{command[0]} failed with exit code {result.returncode}:", *lines]))
