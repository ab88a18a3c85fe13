"""How to reach Kafka: one description, in the words of librdkafka and of aiokafka."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True)
class KafkaSettings:
    """Where Kafka is and how to log in."""

    brokers: str = "127.0.0.1:9092"
    """host:port, comma separated."""
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca: str | None = None
    """Path of a CA file; the system's authorities if None."""

    def librdkafka(self) -> dict[str, Any]:
        """For confluent_kafka clients."""
        settings: dict[str, Any] = {"bootstrap.servers": self.brokers, "security.protocol": self.security_protocol}
        if self.security_protocol.startswith("SASL"):
            settings["sasl.mechanism"] = self.sasl_mechanism
            settings["sasl.username"] = self.sasl_username
            settings["sasl.password"] = self.sasl_password
        if self.ssl_ca and self.security_protocol.endswith("SSL"):
            settings["ssl.ca.location"] = self.ssl_ca
        return settings

    def faust_urls(self) -> list[str]:
        """Each broker as a URL, for Faust."""
        return [f"kafka://{broker.strip()}" for broker in self.brokers.split(",")]
