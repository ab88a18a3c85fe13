"""All checks, in the order in which they are run."""

from __future__ import annotations

from freshline.doctor import clock, kafka, lanes, machine, qdrant
from freshline.doctor.findings import Check
from freshline.doctor.site import Site

CHECKS: tuple[Check[Site], ...] = (
    Check("bundle", machine.bundle),
    Check("device", machine.device, ("bundle",)),
    Check("image root", machine.image_root),
    Check("kafka", kafka.kafka),
    Check("replicas", kafka.replicas, ("kafka",)),
    Check("topics", kafka.topics, ("kafka",)),
    Check("retentions", kafka.retentions, ("kafka",)),
    Check("qdrant", qdrant.qdrant),
    Check("view", qdrant.view, ("qdrant", "bundle")),
    Check("collection", qdrant.collection, ("view",)),
    Check("groups", lanes.groups, ("kafka", "view")),
    Check("overtaking", lanes.overtaking, ("kafka", "view")),
    Check("clock against kafka", clock.against_kafka, ("kafka",)),
    Check("clock against qdrant", clock.against_qdrant, ("qdrant",)),
)
