"""Settings: from the environment, checked, secrets masked, all documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from freshline.settings import Settings


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # away from a developer's own .env


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHLINE_INDEXED_ATTRIBUTES", "size, colour")
    monkeypatch.setenv("FRESHLINE_IMAGE_ALLOW_NETWORKS", "10.0.0.0/8,fd00::/8")

    settings = Settings()

    assert settings.indexed_attributes == ["size", "colour"]
    assert [str(network) for network in settings.images().allow_networks] == ["10.0.0.0/8", "fd00::/8"]


def test_a_dotenv_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FRESHLINE_ALIAS=shoes\n")

    assert Settings().alias == "shoes"


def test_secrets_are_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHLINE_KAFKA_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("FRESHLINE_QDRANT_API_KEY", "hunter2")
    monkeypatch.setenv("FRESHLINE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")

    settings = Settings()

    assert "hunter2" not in f"{settings!r} {settings.kafka()!r} {settings.qdrant()!r}"
    assert settings.kafka().librdkafka()["sasl.password"] == "hunter2"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VERSIONS", "dates"),
        ("MAX_IN_FLIGHT", "0"),
        ("TOPIC_PREFIX", "a b"),
        ("API_RATE", "often"),
        ("IMAGE_ALLOW_NETWORKS", "10.0.0.0/99"),
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"FRESHLINE_{name}", value)

    with pytest.raises(ValidationError):
        Settings()


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()

    missing = [name for name in Settings.model_fields if f"_{name.upper()}`" not in page.replace("KAFKA_SASL", "SASL")]

    assert [name for name in missing if not name.startswith("kafka_sasl")] == []
