"""Rules, dashboards, runbooks and the metrics that they speak of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from freshline.metrics_doc import PROCESSES, document, families, full_name
from infra.grafana.export import FOLDER, dashboard_files
from tests.prometheus import ALERTMANAGER, INFRA, RULES, faster, promtool, tool

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
METRIC = re.compile(r"(?<![:\w])(?:freshline|process)_\w+")
RECORDED = re.compile(r"\w*:\w+(?::\w+)?")


def rules() -> Iterator[dict[str, Any]]:
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


ALERTS = [rule for rule in rules() if "alert" in rule]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for text in dashboard_files().values():
        page = json.loads(text)
        yield from (target["expr"] for panel in page["panels"] for target in panel["targets"])
        yield from (variable["query"]["query"] for variable in page["templating"]["list"] if variable["name"] == "view")


def in_code() -> set[str]:
    return {full_name(metric) for fill in PROCESSES.values() for metric in families(fill)}


def test_prometheus_takes_the_rules() -> None:
    checked = promtool("check", "rules", *RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", sorted((INFRA / "prometheus" / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_the_alerts_fire_and_stay_silent_on_series(file: Path) -> None:
    tested = promtool("test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_tested_on_series() -> None:
    text = "".join(file.read_text() for file in (INFRA / "prometheus" / "tests").glob("*.yml"))
    named = set(re.findall(r"alertname\W+(\w+)", text))
    assert {rule["alert"] for rule in ALERTS} - named == set()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == {rule["alert"] for rule in ALERTS}


def test_every_metric_that_rules_and_dashboards_name_is_in_the_code() -> None:
    named = {re.sub(r"_(bucket|sum|count)$", "", name) for text in expressions() for name in METRIC.findall(text)}
    known = in_code()

    assert named - known == set()


def test_every_recorded_series_that_is_named_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = {name for text in expressions() for name in RECORDED.findall(re.sub(r"\{[^}]*\}|\[[^]]*\]", "", text))}
    assert named - recorded == set()


def test_the_buckets_that_the_objectives_need_are_there() -> None:
    freshness = next(m for m in families(PROCESSES["`freshline worker`"]) if m.name == "freshline_freshness_seconds")
    bounds = {sample.labels.get("le") for sample in freshness.samples}
    asked = {bound for text in expressions() for bound in re.findall(r'le="([^"]+)"', text)}
    assert asked == {"10.0", "3600.0"}
    assert asked <= bounds


def test_the_reference_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == document(), "make metrics"


def test_the_dashboards_are_those_of_the_code() -> None:
    assert {path: path.read_text() for path in FOLDER.glob("*.json")} == dashboard_files(), "make dashboards"


@pytest.mark.parametrize("text", list(dashboard_files().values()))
def test_no_two_panels_overlap(text: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(text)["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("process", PROCESSES)
def test_promtool_finds_nothing_amiss_in_the_metrics(process: str) -> None:
    registry = CollectorRegistry()
    PROCESSES[process](registry)
    checked = promtool("check", "metrics", stdin=generate_latest(registry).decode())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_alertmanager_takes_its_file_and_sends_each_severity_its_way() -> None:
    import subprocess

    for severity in ("page", "ticket"):
        command = [tool("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == severity


def test_a_faster_clock_changes_durations_and_nothing_else() -> None:
    rule = {"alert": "A", "expr": "avg_over_time(a:b:1h[1h]) > 3600 and rate(c[5m]) > 0", "for": "2m"}
    limit = {"record": "freshline:limit_seconds", "expr": "vector(3600)", "labels": {"slo": "promise"}}

    changed = faster({"groups": [{"name": "g", "rules": [rule, limit]}]}, 60, {"promise": 5})

    assert changed["groups"][0]["rules"] == [
        {"alert": "A", "expr": "avg_over_time(a:b:1h[60000ms]) > 3600 and rate(c[5000ms]) > 0", "for": "2000ms"},
        limit | {"expr": "vector(5)"},
    ]
