"""Whom a benchmark tells how it comes along."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Told what is being done now."""

Seen = Callable[[float], None]
"""Told how much of it is done, in the benchmark's own unit."""
