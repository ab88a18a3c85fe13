"""What every server of the stack has in common."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import ClassVar

from infra.local.ports import HOST


@dataclass(frozen=True)
class Part(ABC):
    """One server: what it needs, how it is installed and launched, and whether it is ready.

    `folder` holds its data, config and log; `cache` what is downloaded once for all stacks; `ports` the ports of
    the whole stack by name.
    """

    folder: Path
    cache: Path
    ports: Mapping[str, int]

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]

    @property
    def port(self) -> int:
        """The port that its clients use."""
        return self.ports[self.name]

    @property
    def log(self) -> Path:
        """The file that its output goes to."""
        return self.folder / f"{self.name}.log"

    @abstractmethod
    def missing(self) -> list[str]:
        """The tools that are missing on this machine, one line each with how to get it."""

    @abstractmethod
    def install(self) -> None:
        """Download what is not in the cache yet, and check it; StackError when it is not what is pinned."""

    @abstractmethod
    def prepare(self) -> None:
        """Write its config into its folder."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that runs it."""

    def environment(self) -> dict[str, str]:
        """The environment that it runs in."""
        return dict(os.environ)

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers now, seen as a client sees it."""


def http_ok(port: int, path: str) -> bool:
    """Whether a GET is answered with 200 within a second."""
    connection = HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
