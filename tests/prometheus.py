"""A real Prometheus and Alertmanager with the shipped rules, on a clock that runs 60 times as fast as the rules think.

with AlertingPrometheus([f"127.0.0.1:{port}"], tmp_path) as prometheus:
    prometheus.firing("FreshnessBurnFast")     # its labels, as soon as Alertmanager has it
    prometheus.resolved("FreshnessBurnFast")
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

import infra
from tests.harness import eventually, free_port

INFRA = Path(infra.__file__).parent
RULES = sorted((INFRA / "prometheus").glob("*.yml"))
ALERTMANAGER = INFRA / "alertmanager" / "alertmanager.yml"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RANGE = re.compile(r"\[(\d+)([smhd])\]")


def tool(*names: str) -> str:
    """The path of the first that is installed; in CI their absence is a failure, on a laptop a skip that says so."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"needs {names[0]} (apt-get install prometheus prometheus-alertmanager)")
    assert found, f"no {names[0]}"
    return found


def promtool(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """It to its end."""
    command = [tool("promtool"), *map(str, arguments)]
    return subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, timeout=120)


def faster(rules: Any, by: int, limits: Mapping[str, float]) -> Any:
    """The content of a rule file with every window, `for` and interval `by` times shorter.

    `limits`, by objective, replaces those of `freshline:limit_seconds`. Names stay: 1h is still called 1h.
    """
    return {
        "groups": [
            group | {"rules": [_faster(rule, by, limits) for rule in group["rules"]]} for group in rules["groups"]
        ]
    }


def _faster(rule: Mapping[str, Any], by: int, limits: Mapping[str, float]) -> dict[str, Any]:
    changed = dict(rule)
    changed["expr"] = _RANGE.sub(lambda match: f"[{_shorter(match[1] + match[2], by)}]", rule["expr"])
    if "for" in rule:
        changed["for"] = _shorter(rule["for"], by)
    if rule.get("record") == "freshline:limit_seconds" and rule["labels"]["slo"] in limits:
        changed["expr"] = f"vector({limits[rule['labels']['slo']]})"
    return changed


def _shorter(duration: str, by: int) -> str:
    return f"{int(duration[:-1]) * _UNITS[duration[-1]] * 1000 // by}ms"


class AlertingPrometheus:
    """Scrapes `targets` (host:port) as job `freshline`, and has Alertmanager take the alerts; all files in `folder`."""

    def __init__(
        self, targets: Sequence[str], folder: Path, *, by: int = 60, limits: Mapping[str, float] | None = None
    ) -> None:
        self._targets, self._folder, self._by, self._limits = list(targets), folder, by, limits or {}
        self._port, self._alertmanager = free_port(), free_port()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        prometheus, alertmanager = tool("prometheus"), tool("prometheus-alertmanager", "alertmanager")
        rules = [
            self._write(file.name, faster(yaml.safe_load(file.read_text()), self._by, self._limits)) for file in RULES
        ]
        config = self._write("prometheus.json", self._config(rules))
        routes = self._write("alertmanager.json", self._routes())
        with ExitStack() as started:
            self._start(started, [alertmanager, "--cluster.listen-address="], routes, self._alertmanager)
            self._start(started, [prometheus], config, self._port)
            for port in (self._alertmanager, self._port):
                eventually(lambda port=port: _get(port, "/-/ready") is not None, what=f"ready at {port}")  # type: ignore[misc]
            self._running = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        """Prometheus's."""
        return f"http://127.0.0.1:{self._port}"

    def value(self, query: str) -> float | None:
        """Of an expression now: its one sample, None if there is none."""
        answer = _get(self._port, f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        assert answer is not None, "Prometheus does not answer"
        found = json.loads(answer)["data"]["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def firing(self, alert: str, within: float = 60.0) -> dict[str, Any]:
        """Wait until Alertmanager has the alert; as its API has it, with `labels`, `annotations` and `receivers`."""
        found: dict[str, Any] = eventually(lambda: self.alert(alert), within=within, what=f"{alert} fires")
        return found

    def resolved(self, alert: str, within: float = 60.0) -> None:
        """Wait until Alertmanager has the alert no more."""
        eventually(lambda: self.alert(alert) is None, within=within, what=f"{alert} is resolved")

    def alert(self, name: str) -> dict[str, Any] | None:
        """An alert as Alertmanager has it now; None if it doesn't."""
        answer = _get(self._alertmanager, "/api/v2/alerts")
        assert answer is not None, "Alertmanager does not answer"
        return next((alert for alert in json.loads(answer) if alert["labels"]["alertname"] == name), None)

    def _config(self, rules: Sequence[Path]) -> dict[str, Any]:
        return {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [str(file) for file in rules],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self._alertmanager}"]}]}]},
            "scrape_configs": [{"job_name": "freshline", "static_configs": [{"targets": self._targets}]}],
        }

    def _routes(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load(ALERTMANAGER.read_text())
        config["route"] |= {
            name: _shorter(config["route"][name], self._by) for name in ("group_wait", "group_interval")
        }
        return config

    def _write(self, name: str, content: Any) -> Path:
        file = self._folder / name
        file.write_text(json.dumps(content))
        return file

    def _start(self, started: ExitStack, command: Sequence[str], config: Path, port: int) -> None:
        storage = "storage.tsdb.path" if config.stem == "prometheus" else "storage.path"
        folder = self._folder / f"{config.stem}-data"
        flags = {"config.file": config, storage: folder, "web.listen-address": f"127.0.0.1:{port}"}
        log = started.enter_context((self._folder / f"{config.stem}.log").open("wb"))
        process = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in flags.items())], stdout=log, stderr=log
        )
        started.callback(process.wait)
        started.callback(process.terminate)


def _get(port: int, path: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return None
