"""Kafka: whether it answers, and whether the topics are as they must be."""

from __future__ import annotations

from confluent_kafka import KafkaException

from freshline.doctor.findings import Finding, failed, ok, skipped, together, warning
from freshline.doctor.site import TIMEOUT_SECONDS, Site
from schemas.retentions import retention_problems
from stream.admin import TopicState

_ALTER = "change it: kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config NAME=VALUE"
_NEEDED = "min.insync.replicas"


def kafka(site: Site) -> Finding:
    """A broker answers."""
    where = site.settings.kafka_brokers
    try:
        brokers = site.admin.list_topics(timeout=TIMEOUT_SECONDS).brokers
    except KafkaException as error:
        return failed(
            f"{where}: {error.args[0].str()}", "start it, or correct FRESHLINE_KAFKA_BROKERS, _SASL_*, _SSL_CA"
        )
    return ok(f"{len(brokers)} broker(s) at {where}")


def topics(site: Site) -> Finding:
    """Every topic is there with its settings, and the lanes have as many partitions as the events."""
    names, found = site.settings.topics, []
    for spec in names.specs():
        if spec.name not in site.topics:
            found.append(failed(f"topic {spec.name} is missing", "run `freshline setup`"))
        else:
            found += [failed(problem, _ALTER) for problem in spec.differences(site.topics[spec.name].config)]
    if names.events in site.topics:
        count = site.topics[names.events].partitions
        found += [finding for lane in (names.replay, names.retry) for finding in _partitions(site, lane, count)]
    return together(found, f"{len(site.topics)} topics as they must be, {_count(site)} partitions")


def _partitions(site: Site, lane: str, count: int) -> list[Finding]:
    if lane not in site.topics or site.topics[lane].partitions == count:
        return []
    message = f"topic {lane} has {site.topics[lane].partitions} partitions, {site.settings.topics.events} has {count}"
    return [
        warning(
            message,
            "did catalog.events grow? products that changed their partition lost their order: see docs/doctor.md",
        )
    ]


def _count(site: Site) -> int:
    events = site.topics.get(site.settings.topics.events)
    return events.partitions if events else 0


def replicas(site: Site) -> Finding:
    """There are brokers enough for the replicas, and replicas enough for the writes that must be acknowledged."""
    brokers = len(site.admin.list_topics(timeout=TIMEOUT_SECONDS).brokers)
    found = [finding for name, state in site.topics.items() if (finding := _replicas(name, state, brokers))]
    if not site.topics:
        return skipped("no topics yet")
    fewest = min(state.replicas for state in site.topics.values())
    return together(found, f"{fewest} replica(s) or more, all in sync, on {brokers} broker(s)")


def _replicas(name: str, state: TopicState, brokers: int) -> Finding | None:
    needed = int(state.config.get(_NEEDED, "1"))
    if state.in_sync < needed:
        message = f"topic {name}: {state.in_sync} replica(s) in sync, {_NEEDED} is {needed}: every write is refused"
        return failed(message, "bring the brokers back, or lower min.insync.replicas to below the replicas")
    if state.in_sync < state.replicas:
        message = f"topic {name}: {state.in_sync} of {state.replicas} replicas in sync"
        return warning(message, "bring the missing brokers back")
    if state.replicas == 1 and brokers > 1:
        message = f"topic {name}: one replica, although there are {brokers} brokers: with its broker, it is gone"
        return warning(message, "give it three replicas (kafka-reassign-partitions.sh)")
    if state.replicas > 1 and needed == state.replicas:
        message = f"topic {name}: {_NEEDED} is {needed} of {state.replicas} replicas: one broker away stops all writes"
        return warning(message, "lower min.insync.replicas by one")
    if state.replicas > 2 and needed == 1:
        message = f"topic {name}: {_NEEDED} is 1 of {state.replicas}: an acknowledged event may be on one broker alone"
        return warning(message, "set min.insync.replicas to 2")
    return None


def retentions(site: Site) -> Finding:
    """No topic can bring an event that is older than the tombstones."""
    if not site.topics:
        return skipped("no topics yet")
    configs = {name: state.config for name, state in site.topics.items()}
    kept = site.settings.tombstone_retention
    found = [failed(problem, _ALTER) for problem in retention_problems(site.settings.topics, configs, kept)]
    return together(found, f"tombstones stay {kept.days} days, longer than any topic keeps an old event")
