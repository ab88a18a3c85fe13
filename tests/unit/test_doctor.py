"""How checks are run, and what each makes of what it is told; `tests/integration/test_doctor.py` is on real parts."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from freshline.doctor import clock, kafka, machine
from freshline.doctor.checks import CHECKS
from freshline.doctor.findings import Check, Finding, Status, examine, failed, ok, together, warning
from freshline.doctor.site import Site
from freshline.settings import Settings
from schemas.topics import Topics
from stream.admin import TopicState


def raising(error: Exception) -> Check[None]:
    def check(_: None) -> Finding:
        raise error

    return Check("broken", check)


def always(name: str, finding: Finding, *needs: str) -> Check[None]:
    return Check(name, lambda _: finding, needs)


def statuses(*checks: Check[None]) -> dict[str, str]:
    return {name: finding.status.value for name, finding in examine(checks, None)}


def test_a_check_that_breaks_hides_no_other() -> None:
    found = dict(examine((raising(ZeroDivisionError("what")), always("other", ok("fine"))), None))

    assert (found["broken"].status, found["broken"].message) == (Status.FAILED, "ZeroDivisionError: what")
    assert found["other"] == ok("fine")


def test_an_error_of_kafka_is_told_in_its_words() -> None:
    error = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    assert dict(examine((raising(error),), None))["broken"].message == "Kafka: Broker: Topic authorization failed"


def test_what_needs_a_failed_check_is_skipped_and_so_is_what_needs_that() -> None:
    assert statuses(
        always("kafka", failed("away", "start it")),
        always("topics", ok(""), "kafka"),
        always("lag", ok(""), "topics"),
        always("qdrant", warning("old", "upgrade")),
        always("view", ok(""), "qdrant"),
    ) == {"kafka": "failed", "topics": "skipped", "lag": "skipped", "qdrant": "warning", "view": "ok"}


def test_several_findings_are_as_bad_as_the_worst_and_say_each_remedy_once() -> None:
    found = together([warning("a", "do x"), failed("b", "do y"), failed("c", "do y"), ok("d")], "none")

    assert found == Finding(Status.FAILED, "a\nb\nc\nd", "do x\ndo y")
    assert together([], "none") == ok("none")


def test_every_need_is_a_check_that_comes_before() -> None:
    for number, check in enumerate(CHECKS):
        assert set(check.needs) <= {other.name for other in CHECKS[:number]}


# --- Kafka ------------------------------------------------------------------------------------------------------------

TOPICS = Topics()


def site(brokers: int = 3, **settings: Any) -> Any:
    """A site whose topics are all as `setup` makes them, with three replicas."""
    states = {spec.name: TopicState(12, 3, 3, spec.config | {"min.insync.replicas": "2"}) for spec in TOPICS.specs()}
    metadata = SimpleNamespace(brokers=dict.fromkeys(range(brokers)))
    return SimpleNamespace(
        settings=Settings(_env_file=None, **settings),
        topics=states,
        admin=SimpleNamespace(list_topics=lambda timeout: metadata),
    )


def with_state(number: int, replicas: int, in_sync: int, needed: str, brokers: int = 3) -> Site:
    made = site(brokers)
    config = made.topics[TOPICS.events].config | {"min.insync.replicas": needed}
    made.topics[TOPICS.events] = TopicState(number, replicas, in_sync, config)
    return cast(Site, made)


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [
        ((12, 3, 3, "2"), Status.OK, "3 replica(s)"),
        ((12, 3, 2, "2"), Status.WARNING, "2 of 3 replicas in sync"),
        ((12, 3, 1, "2"), Status.FAILED, "every write is refused"),
        ((12, 1, 1, "2"), Status.FAILED, "every write is refused"),
        ((12, 1, 1, "1"), Status.WARNING, "one replica"),
        ((12, 2, 2, "2"), Status.WARNING, "one broker away stops all writes"),
        ((12, 3, 3, "1"), Status.WARNING, "on one broker alone"),
        ((12, 1, 1, "1", 1), Status.OK, "1 replica(s)"),
    ],
)
def test_replicas_are_judged_with_what_must_be_in_sync(state: Any, status: Status, words: str) -> None:
    found = kafka.replicas(with_state(*state))

    assert found.status is status
    assert words in found.message
    assert bool(found.advice) == (status is not Status.OK)


def test_topics_that_are_missing_set_otherwise_or_of_other_sizes_are_named() -> None:
    made = site()
    assert kafka.topics(made).status is Status.OK

    del made.topics[TOPICS.retry]
    made.topics[TOPICS.replay] = TopicState(6, 3, 3, made.topics[TOPICS.replay].config)
    dead_letters = made.topics[TOPICS.dead_letters]
    made.topics[TOPICS.dead_letters] = TopicState(12, 3, 3, dead_letters.config | {"cleanup.policy": "delete"})
    found = kafka.topics(made)

    assert found.status is Status.FAILED
    assert found.message.splitlines() == [
        "topic catalog.retry is missing",
        "topic catalog.dead-letters: cleanup.policy is delete, not compact",
        "topic catalog.replay has 6 partitions, catalog.events has 12",
    ]
    assert "freshline setup" in found.advice


def test_retentions_that_bring_old_events_back_are_a_failure() -> None:
    assert kafka.retentions(site()).status is Status.OK
    found = kafka.retentions(site(tombstone_retention_days=8))

    assert found.status is Status.FAILED
    assert "topic catalog.replay: retention.ms" in found.message


# --- this machine -----------------------------------------------------------------------------------------------------


def test_a_damaged_bundle_is_named(tmp_path: Path) -> None:
    found = machine.bundle(Site(Settings(_env_file=None, bundle=tmp_path)))

    assert found.status is Status.FAILED
    assert str(tmp_path / "bundle.json") in found.message


def test_the_shipped_bundle_loads_on_the_cpu() -> None:
    with Site(Settings(_env_file=None)) as opened:
        assert machine.bundle(opened).status is Status.OK
        assert machine.device(opened).message.startswith("cpu")


@pytest.mark.parametrize(("name", "status"), [(".", Status.OK), ("nothing", Status.FAILED), (None, Status.SKIPPED)])
def test_the_folder_of_pictures_must_be_there_if_it_is_set(tmp_path: Path, name: str | None, status: Status) -> None:
    settings = Settings(_env_file=None, image_root=tmp_path / name if name else None)

    assert machine.image_root(Site(settings)).status is status


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [
        (0.0, Status.OK, "less than 5 s"),
        (-60.0, Status.WARNING, "s behind Qdrant's"),
        (60.0, Status.WARNING, "s ahead of Qdrant's"),
        (3600.0, Status.FAILED, "ahead of Qdrant's"),
    ],
)
def test_a_clock_that_is_off_is_told(monkeypatch: pytest.MonkeyPatch, ahead: float, status: Status, words: str) -> None:
    monkeypatch.setattr(clock, "_date", lambda _: float(int(time.time() - ahead)))
    found = clock.against_qdrant(cast(Site, site()))

    assert found.status is status
    assert words in found.message
