"""How much chaos: `FRESHLINE_CHAOS=small` (the default, minutes) or `full` (`make chaos`, up to 40 minutes)."""

from __future__ import annotations

import os
import random
import time
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("FRESHLINE_CHAOS", "small") == "full"


def at(small: T, full: T) -> T:
    """What the scale asks for."""
    return full if FULL else small


def seeded() -> tuple[int, random.Random]:
    """A new seed, printed, and chance by it; `FRESHLINE_CHAOS_SEED` gives one again."""
    seed = int(os.environ.get("FRESHLINE_CHAOS_SEED") or time.time_ns() % 1_000_000)
    print(f"FRESHLINE_CHAOS_SEED={seed}")
    return seed, random.Random(seed)
