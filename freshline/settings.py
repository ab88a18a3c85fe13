"""Every setting, from `FRESHLINE_*` variables or a `.env` file, and which part of it each package gets."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.events import VersionScheme
from schemas.topics import Topics
from stream.kafka import KafkaSettings, SaslMechanism, SecurityProtocol

if TYPE_CHECKING:
    from indexer.store import QdrantSettings
    from stream.images.fetcher import ImageSettings


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseSettings):
    """The settings of this process. Secrets are masked wherever the object is printed."""

    model_config = SettingsConfigDict(env_prefix="FRESHLINE_", env_file=".env", extra="ignore", frozen=True)

    kafka_brokers: str = "127.0.0.1:9092"
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_ca: Path | None = None
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")] = ""
    versions: VersionScheme = "timestamp"

    qdrant_url: str = "http://127.0.0.1:6333"
    qdrant_grpc_port: int = 6334
    qdrant_api_key: SecretStr | None = None
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "products"
    view: str | None = None
    indexed_attributes: Annotated[list[str], NoDecode, BeforeValidator(_split)] = []
    tombstone_retention_days: Annotated[int, Field(ge=1)] = 21

    bundle: Path | None = None
    bundles: Annotated[list[Path], NoDecode, BeforeValidator(_split)] = []
    """Further ones that views may be of."""
    device: Literal["cpu", "cuda"] = "cpu"
    gpu_memory_mib: Annotated[int, Field(ge=0)] = 0
    """0: no limit."""

    image_root: Path | None = None
    image_allow_networks: Annotated[list[IPv4Network | IPv6Network], NoDecode, BeforeValidator(_split)] = []
    image_max_bytes: Annotated[int, Field(ge=1024)] = 20_000_000
    image_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    image_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    image_connections_per_host: Annotated[int, Field(ge=1, le=64)] = 16
    image_reuse_bytes: Annotated[int, Field(ge=0)] = 16_000_000

    retry_delay_seconds: Annotated[float, Field(gt=0)] = 60.0
    retry_budget_hours: Annotated[float, Field(gt=0)] = 24.0
    freshness_goal_seconds: Annotated[float, Field(gt=0)] = 10.0
    dead_letter_run: Annotated[int, Field(ge=1)] = 100
    dead_letter_share: Annotated[float, Field(gt=0, le=1)] = 0.5

    max_in_flight: Annotated[int, Field(ge=1)] = 384
    yield_seconds: Annotated[float, Field(ge=0)] = 2.0
    """0: never yield."""
    yield_niceness: Annotated[int, Field(ge=0, le=19)] = 10
    drain_seconds: Annotated[float, Field(gt=0, le=45)] = 10.0
    session_timeout_seconds: Annotated[float, Field(ge=6, le=60)] = 10.0

    searches_at_once: Annotated[int, Field(ge=0)] = 0
    """0: four for each core."""
    search_patience_seconds: Annotated[float, Field(gt=0, le=10)] = 0.06
    search_ef: Annotated[int, Field(ge=10, le=10_000)] = 128
    upload_seconds: Annotated[float, Field(gt=0)] = 10.0
    api_keys: Path | None = None
    api_rate: Annotated[str | None, Field(pattern=r"^ *[0-9]+ *(/|per) *[0-9]* *(second|minute|hour|day)s? *$")] = None
    cors_origins: Annotated[list[str], NoDecode, BeforeValidator(_split)] = []

    canary_interval_seconds: Annotated[float, Field(ge=0)] = 60.0
    """0: no canary."""
    canary_deadline_seconds: Annotated[float, Field(gt=0)] = 60.0
    canary_images: Annotated[str | None, Field(pattern=r"^(file:///|https?://[^/])")] = None
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0: no metrics endpoint."""
    monitor_interval_seconds: Annotated[float, Field(ge=0.5)] = 15.0
    monitor_port: Annotated[int, Field(ge=0, le=65535)] = 8090
    """0: no pages."""
    prometheus_url: str | None = None
    host: str = "127.0.0.1"
    """The address that every endpoint binds to."""
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_products: Annotated[list[str], NoDecode, BeforeValidator(_split)] = []
    """Products that are followed in the log; `shoe-*` for all that begin so."""
    stuck_seconds: Annotated[float, Field(ge=1)] = 300.0
    """How long a worker may make no headway, with nothing away, before it ends itself."""

    @property
    def topics(self) -> Topics:
        """The topics under this installation's prefix."""
        return Topics(self.topic_prefix)

    @property
    def bundle_path(self) -> Path:
        """The bundle's folder: the shipped one unless `FRESHLINE_BUNDLE` names another."""
        from encoders.bundle import SHIPPED  # noqa: PLC0415 (an extra; the plain install has settings too)

        return self.bundle or SHIPPED

    @property
    def tombstone_retention(self) -> timedelta:
        """How long a deleted product's tombstone stays."""
        return timedelta(days=self.tombstone_retention_days)

    def secrets(self) -> list[str]:
        """Every value that must not be seen in a log."""
        values = [getattr(self, name) for name in type(self).model_fields]
        flat = [each for value in values for each in (value if isinstance(value, list | tuple) else [value])]
        in_urls = (urlsplit(value).password for value in flat if isinstance(value, str) and "://" in value)
        return [each.get_secret_value() for each in flat if isinstance(each, SecretStr)] + [*filter(None, in_urls)]

    def group(self, view: str, lane: str) -> str:
        """The consumer group of a view's lane."""
        return f"{self.topic_prefix}{view}.{lane}"

    def kafka(self) -> KafkaSettings:
        """What `stream` needs to reach Kafka."""
        return KafkaSettings(
            brokers=self.kafka_brokers,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            sasl_username=self.kafka_sasl_username,
            sasl_password=self.kafka_sasl_password.get_secret_value() if self.kafka_sasl_password else None,
            ssl_ca=str(self.kafka_ssl_ca) if self.kafka_ssl_ca else None,
        )

    def qdrant(self) -> QdrantSettings:
        """What `indexer` needs."""
        from indexer.store import QdrantSettings  # noqa: PLC0415

        key = self.qdrant_api_key.get_secret_value() if self.qdrant_api_key else None
        return QdrantSettings(url=self.qdrant_url, api_key=key, grpc_port=self.qdrant_grpc_port)

    def images(self) -> ImageSettings:
        """What may be fetched."""
        from stream.images.fetcher import ImageSettings  # noqa: PLC0415

        return ImageSettings(
            root=self.image_root,
            allow_networks=tuple(self.image_allow_networks),
            max_bytes=self.image_max_bytes,
            timeout_seconds=self.image_timeout_seconds,
            attempts=self.image_attempts,
            connections_per_host=self.image_connections_per_host,
        )
