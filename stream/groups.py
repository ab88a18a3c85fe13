"""Consumer groups as a whole: which there are, whether anybody is in them, and removing them."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

TIMEOUT_SECONDS = 10.0


def group_names(admin: AdminClient) -> set[str]:
    """Every group that the brokers know.

    Raises:
        KafkaException: the brokers can't be reached, or refuse.
    """
    listed = admin.list_consumer_groups(request_timeout=TIMEOUT_SECONDS).result()
    return {each.group_id for each in listed.valid}


def group_members(admin: AdminClient, groups: Iterable[str]) -> dict[str, int]:
    """How many workers are in each of these groups now; none in one that doesn't exist.

    Raises:
        KafkaException: the brokers can't be reached, or refuse.
    """
    asked = list(groups)
    futures = admin.describe_consumer_groups(asked, request_timeout=TIMEOUT_SECONDS) if asked else {}
    found = {}
    for group, future in futures.items():
        error = future.exception(2 * TIMEOUT_SECONDS)
        if isinstance(error, KafkaException) and error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            found[group] = 0  # how newer brokers say that there is none
        else:
            found[group] = len(future.result().members)
    return found


def remove_groups(admin: AdminClient, groups: Iterable[str]) -> None:
    """Forget where these groups stood, as far as they exist.

    Raises:
        KafkaException: somebody is in one of them, or the brokers can't be reached.
    """
    asked = sorted(group_names(admin) & set(groups))
    for future in (admin.delete_consumer_groups(asked, request_timeout=TIMEOUT_SECONDS) if asked else {}).values():
        future.result()
