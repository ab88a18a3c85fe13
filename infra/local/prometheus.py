"""Prometheus and Alertmanager, from the system's packages."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import infra
from infra.local.parts import Part, http_ok
from infra.local.ports import HOST

RULES = Path(infra.__file__).parent / "prometheus"
ROUTES = Path(infra.__file__).parent / "alertmanager" / "alertmanager.yml"
HOW_TO_GET = "apt-get install prometheus prometheus-alertmanager"


@dataclass(frozen=True)
class Prometheus(Part):
    """Scrapes this stack's Qdrant and itself, and whatever the files in its `targets` folder name."""

    name = "prometheus"
    port_names = ("prometheus",)

    def missing(self) -> list[str]:
        """Its binary."""
        return [] if shutil.which("prometheus") else [f"prometheus is missing: {HOW_TO_GET}"]

    def install(self) -> None:
        """Nothing to download."""

    def prepare(self) -> None:
        """Write its config."""
        (self.folder / "targets").mkdir(exist_ok=True)
        self._config.write_text(json.dumps(self._settings(), indent=2))

    def command(self) -> list[str]:
        """The binary with its flags."""
        flags = {
            "config.file": self._config,
            "storage.tsdb.path": self.folder / "storage",
            "web.listen-address": f"{HOST}:{self.port}",
        }
        return ["prometheus", *(f"--{name}={value}" for name, value in flags.items())]

    def ready(self) -> bool:
        """Whether it says so."""
        return http_ok(self.port, "/-/ready")

    @property
    def _config(self) -> Path:
        return self.folder / "prometheus.yml"

    def _settings(self) -> dict[str, Any]:
        """Its config: YAML, of which JSON is a part."""
        return {
            "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "rule_files": [str(file) for file in sorted(RULES.glob("*.yml"))],
            "alerting": {"alertmanagers": [{"static_configs": [self._target("alertmanager")]}]},
            "scrape_configs": [
                {"job_name": "qdrant", "static_configs": [self._target("qdrant")]},
                {"job_name": "prometheus", "static_configs": [self._target("prometheus")]},
                {"job_name": "freshline", "file_sd_configs": [{"files": [str(self.folder / "targets" / "*.json")]}]},
            ],
        }

    def _target(self, port_name: str) -> dict[str, list[str]]:
        return {"targets": [f"{HOST}:{self.ports[port_name]}"]}


@dataclass(frozen=True)
class Alertmanager(Part):
    """Takes the alerts, and shows them on its page; it notifies nobody."""

    name = "alertmanager"
    port_names = ("alertmanager",)

    def missing(self) -> list[str]:
        """Its binary."""
        return [] if _alertmanager() else [f"alertmanager is missing: {HOW_TO_GET}"]

    def install(self) -> None:
        """Nothing to download."""

    def prepare(self) -> None:
        """Write its config."""
        shutil.copyfile(ROUTES, self._config)

    def command(self) -> list[str]:
        """The binary with its flags; an empty cluster address, as it listens on all interfaces otherwise."""
        flags = {
            "config.file": self._config,
            "storage.path": self.folder / "storage",
            "web.listen-address": f"{HOST}:{self.port}",
            "cluster.listen-address": "",
        }
        return [_alertmanager() or "alertmanager", *(f"--{name}={value}" for name, value in flags.items())]

    def ready(self) -> bool:
        """Whether it says so."""
        return http_ok(self.port, "/-/ready")

    @property
    def _config(self) -> Path:
        return self.folder / "alertmanager.yml"


def _alertmanager() -> str | None:
    """Its binary under Debian's name, or its own."""
    return shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
