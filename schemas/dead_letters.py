"""A record that was given up on, with all that is needed to understand it and to send it again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Reason(StrEnum):
    """Why a record was given up on: the label of `freshline_dead_letters_total`."""

    INVALID_KEY = "invalid_key"
    INVALID_JSON = "invalid_json"
    INVALID_EVENT = "invalid_event"
    INVALID_VERSION = "invalid_version"
    KEY_MISMATCH = "key_mismatch"
    NULL_VALUE = "null_value"
    OUT_OF_ORDER = "out_of_order"
    IMAGE_MISSING = "image_missing"
    IMAGE_FORBIDDEN = "image_forbidden"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_UNSUPPORTED = "image_unsupported"
    IMAGE_DIGEST = "image_digest"
    IMAGE_UNAVAILABLE = "image_unavailable"
    INTERNAL = "internal"

    @property
    def passing(self) -> bool:
        """Whether it is no fault of the event's: the same event may pass later. A live event lost to it is a miss."""
        return self in (Reason.IMAGE_UNAVAILABLE, Reason.INTERNAL)


class DeadLetter(BaseModel):
    """The value of a record on the dead-letter topic. Bytes are base64.

    `topic`, `partition`, `offset` and `timestamp_ms` are those of the event in `catalog.events`, whichever lane gave
    up on it: a redriven event that fails again replaces its own dead letter.
    """

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    view: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    product_id: str | None
    reason: Reason
    message: str
    stage: str
    attempts: int
    worker_version: str
    time: datetime
    lane: str = "live"
    """Whether a live event was given up on, or a replayed one."""
    redriven_at: datetime | None = None
    """When `freshline dead-letters redrive` last sent it again."""

    @property
    def record_key(self) -> bytes:
        """`view/topic/partition/offset`: a redelivered record replaces its own dead letter."""
        return f"{self.view}/{self.topic}/{self.partition}/{self.offset}".encode()

    @property
    def product(self) -> str:
        """The product's id: of the event, or of the record's key where the event could not be read."""
        return self.product_id if self.product_id is not None else (self.key or b"").decode(errors="replace")
