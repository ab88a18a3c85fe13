"""Apache Kafka: one KRaft broker and controller, from its Maven artifacts."""

import base64
import re
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from infra.local.downloads import check_digest, download, run
from infra.local.parts import Part
from infra.local.ports import HOST, accepts
from infra.local.versions import (
    JAVA_MINIMUM,
    KAFKA_ARTIFACT,
    KAFKA_JAR_SHA256,
    KAFKA_VERSION,
    SLF4J_SIMPLE_VERSION,
)

# The same settings as in infra/compose.yaml: one of everything, and quick to rebalance, compact and delete.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # A broker that was killed is let in again when its old session ends.
    "broker.session.timeout.ms": "5000",
    "broker.heartbeat.interval.ms": "1000",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "log.cleaner.backoff.ms": "1000",
    "log.initial.task.delay.ms": "1000",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
}

# All but the dumps of every setting, hundreds of lines at each start.
LOGGING = {
    "showDateTime": "true",
    "dateTimeFormat": "yyyy-MM-dd HH:mm:ss.SSS",
    "log.org.apache.kafka.common.config": "warn",
}

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>freshline</groupId><artifactId>local-kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>{KAFKA_ARTIFACT}</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>{SLF4J_SIMPLE_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


@dataclass(frozen=True)
class Kafka(Part):
    """The broker."""

    name = "kafka"
    port_names = ("kafka", "kafka-controller")

    @property
    def jars(self) -> Path:
        """The folder of its jars in the cache."""
        return self.cache / f"kafka-{KAFKA_VERSION}"

    def missing(self) -> list[str]:
        """Java always; Maven only until the jars are in the cache."""
        problems = []
        if java_version() < JAVA_MINIMUM:
            problems.append(f"java {JAVA_MINIMUM} or later is missing: apt-get install openjdk-17-jre-headless")
        if not self.jars.exists() and not shutil.which("mvn"):
            problems.append("mvn (Maven, downloads Kafka) is missing: apt-get install maven")
        return problems

    def install(self) -> None:
        """Download the jars."""
        download(self.jars, _copy_jars)
        check_digest(self.jars / f"{KAFKA_ARTIFACT}-{KAFKA_VERSION}.jar", KAFKA_JAR_SHA256)

    def prepare(self) -> None:
        """Write its properties, and format its storage the first time."""
        controller = f"{HOST}:{self.ports['kafka-controller']}"
        addresses = {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._storage),
        }
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in (SETTINGS | addresses).items()))
        if not (self._storage / "meta.properties").exists():
            # The first character is set, as one in 64 would be a dash: Kafka would take the id for an option.
            cluster = "F" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
            arguments = ["format", "--cluster-id", cluster, "--config", str(self._properties)]
            run([*self._java("kafka.tools.StorageTool"), *arguments], cwd=self.folder)

    def command(self) -> list[str]:
        """Java with the jars."""
        return [*self._java("kafka.Kafka"), str(self._properties)]

    def ready(self) -> bool:
        """Whether it answers a metadata request and knows itself as a broker."""
        if not accepts(self.port):
            return False
        # Imported here: what only asks for the settings of the stack needs no Kafka client.
        from confluent_kafka import KafkaException  # noqa: PLC0415
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415

        client = AdminClient({"bootstrap.servers": f"{HOST}:{self.port}", "log_level": 0})
        try:
            return bool(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _storage(self) -> Path:
        return self.folder / "storage"

    def _java(self, main_class: str) -> list[str]:
        logging = [f"-Dorg.slf4j.simpleLogger.{name}={value}" for name, value in LOGGING.items()]
        return ["java", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError", *logging, "-cp", f"{self.jars}/*", main_class]


def java_version() -> int:
    """The major version of the `java` on the PATH; 0 when there is none."""
    java = shutil.which("java")
    if java is None:
        return 0
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 (fixed)
    found = re.search(r'version "(\d+)', answer)
    return int(found[1]) if found else 0


def _copy_jars(folder: Path) -> None:
    (folder / "pom.xml").write_text(_POM)
    # Strict checksums: Maven refuses a jar that differs from what its repository says of it.
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    run(["mvn", "--quiet", "--batch-mode", "--strict-checksums", *goal], cwd=folder)
