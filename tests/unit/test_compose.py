"""The compose file is the local stack with Docker: same versions, same settings, nothing open to the network."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import infra
from infra.local import kafka, versions

Service = dict[str, Any]
COMPOSE: dict[str, Any] = yaml.safe_load((Path(infra.__file__).parent / "compose.yaml").read_text())
SERVICES: dict[str, Service] = COMPOSE["services"]

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))


def test_versions_are_those_of_the_local_stack() -> None:
    assert {name: service["image"] for name, service in SERVICES.items()} == {
        "kafka": f"apache/kafka:{versions.KAFKA_VERSION}",
        "qdrant": f"qdrant/qdrant:v{versions.QDRANT_VERSION}",
        "prometheus": f"prom/prometheus:v{versions.PROMETHEUS_VERSION}",
        "alertmanager": f"prom/alertmanager:v{versions.ALERTMANAGER_VERSION}",
        "grafana": f"grafana/grafana:{versions.GRAFANA_VERSION}",
    }


def test_kafka_has_the_settings_of_the_local_stack() -> None:
    environment = SERVICES["kafka"]["environment"]
    expected = {f"KAFKA_{key.replace('.', '_').upper()}": value for key, value in kafka.SETTINGS.items()}
    assert {key: environment[key] for key in expected} == expected


def test_environment_is_of_strings() -> None:
    values = [value for service in SERVICES.values() for value in service.get("environment", {}).values()]
    assert all(isinstance(value, str) for value in values), "YAML would turn a bare true or 1 into another type"


@each_service
def test_ports_are_bound_to_loopback(service: Service) -> None:
    assert service["ports"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service.get("network_mode") != "host"


@each_service
def test_has_a_health_check(service: Service) -> None:
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= check.keys()


@each_service
def test_data_is_in_a_named_volume(service: Service) -> None:
    names = {volume.split(":")[0] for volume in service["volumes"]}
    assert names & COMPOSE["volumes"].keys()


def test_prometheus_is_a_profile() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert profiles == {"kafka": [], "qdrant": []} | {
        name: ["prometheus"] for name in ("prometheus", "alertmanager", "grafana")
    }


def test_the_files_that_are_mounted_are_there() -> None:
    mounts = [volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]]
    folders = [Path(infra.__file__).parent / mount for mount in mounts if mount.startswith("./")]
    assert len(folders) == 4
    assert all(any(folder.iterdir()) for folder in folders)


def test_inline_configs_are_yaml_and_used() -> None:
    for name, config in COMPOSE["configs"].items():
        assert yaml.safe_load(config["content"])
        assert SERVICES[name]["configs"][0]["source"] == name
