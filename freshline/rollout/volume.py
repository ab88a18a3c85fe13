"""What a view takes, as Qdrant's telemetry has it."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request, urlopen

from freshline.settings import Settings

TIMEOUT_SECONDS = 30.0


def data_bytes(settings: Settings) -> dict[str, int]:
    """By collection, its vectors and payloads on the node that answers; its disk takes more, for indexes and the log.

    Asked for here, since the client refuses the answers of servers that are older than it is.

    Raises:
        OSError, ValueError: no answer, or not such a one.
    """
    key = settings.qdrant().api_key
    headers = {"api-key": key} if key else {}
    request = Request(f"{settings.qdrant_url}/telemetry?details_level=4", headers=headers)  # noqa: S310
    with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        collections = json.load(answer)["result"]["collections"].get("collections") or []
    return {each["id"]: sum(map(_local, each["shards"] or [])) for each in collections}


def _local(shard: dict[str, Any]) -> int:
    local = shard["local"] or {"vectors_size_bytes": 0, "payloads_size_bytes": 0}
    return int(local["vectors_size_bytes"] + local["payloads_size_bytes"])
