"""What a check finds, and how checks that need each other are run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from confluent_kafka import KafkaException

T = TypeVar("T")


class Status(StrEnum):
    """How bad it is, from the best to the worst."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


_ORDER = list(Status)


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it; nothing if all is well."""

    status: Status
    message: str
    advice: str = ""


def ok(message: str) -> Finding:
    """All is well."""
    return Finding(Status.OK, message)


def skipped(message: str) -> Finding:
    """There was nothing to look at."""
    return Finding(Status.SKIPPED, message)


def warning(message: str, advice: str) -> Finding:
    """It works, but will not always."""
    return Finding(Status.WARNING, message, advice)


def failed(message: str, advice: str) -> Finding:
    """It does not work as it must."""
    return Finding(Status.FAILED, message, advice)


def together(findings: Sequence[Finding], otherwise: str) -> Finding:
    """Several findings as one, as bad as the worst of them; `otherwise` if there are none."""
    if not findings:
        return ok(otherwise)
    status = max((finding.status for finding in findings), key=_ORDER.index)
    advice = dict.fromkeys(finding.advice for finding in findings if finding.advice)
    return Finding(status, "\n".join(finding.message for finding in findings), "\n".join(advice))


@dataclass(frozen=True)
class Check(Generic[T]):
    """One thing to look at, and the names of the checks without which it makes no sense."""

    name: str
    examine: Callable[[T], Finding]
    needs: tuple[str, ...] = ()


def examine(checks: Sequence[Check[T]], subject: T) -> Iterator[tuple[str, Finding]]:
    """Run each check whose needs are met; one that fails, in whatever way, never hides the others."""
    trouble: set[str] = set()
    for check in checks:
        missing = [need for need in check.needs if need in trouble]
        finding = skipped(f"needs: {', '.join(missing)}") if missing else _guarded(check, subject)
        if missing or finding.status is Status.FAILED:
            trouble.add(check.name)
        yield check.name, finding


def _guarded(check: Check[T], subject: T) -> Finding:
    try:
        return check.examine(subject)
    except KafkaException as error:
        return failed(f"Kafka: {error.args[0].str()}", "look at the broker's log; may this user read and describe it?")
    except Exception as error:  # whatever it is, the other checks go on
        return failed(f"{type(error).__name__}: {str(error).strip()}", "look at the log of the part that this names")
