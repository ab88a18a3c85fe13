"""One view's way through a round: its steps, timed, up to the first that fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from freshline.canary.metrics import CanaryMetrics, Step
from freshline.canary.sight import Sight
from stream.monitor.state import CanaryState

Look = Callable[[], Awaitable[str | None]]
"""None: as it should be; otherwise what was seen."""

_POLL_SECONDS = 0.1

log = structlog.get_logger(__name__)


class Passage:
    """What became of the canary in one view so far.

    Args:
        sight: of the view.
        metrics: told of each step.
        deadline_seconds: of a step.
        remark: said of the view where nothing is wrong.
    """

    def __init__(
        self, sight: Sight, metrics: CanaryMetrics, deadline_seconds: float, *, remark: str | None = None
    ) -> None:
        self.sight = sight
        self.failed_step: Step | None = None
        self._metrics = metrics
        self._deadline = deadline_seconds
        self._message = remark
        self._steps: dict[str, float] = {}

    async def step(self, name: Step, look: Look, *, since: float | None = None) -> None:
        """Look until it is as it should be, unless a step before has failed.

        Args:
            name: of the step.
            look: asked again and again; what it raises is what was seen.
            since: the monotonic time that it counts from; now by default.
        """
        if self.failed_step:
            return
        started = time.monotonic() if since is None else since
        seen = await _until(look, started + self._deadline)
        if seen is None:
            self.took(name, time.monotonic() - started)
        else:
            self.fail(name, f"{seen}; so it was for {self._deadline:g} s")

    def took(self, name: Step, seconds: float) -> None:
        """A step went well."""
        self._steps[name] = round(seconds, 3)
        self._metrics.took(self.sight.view, name, seconds)

    def fail(self, name: Step, message: str) -> None:
        """It ends here; the first failure is the one that counts."""
        if self.failed_step:
            return
        self.failed_step, self._message = name, message
        self._metrics.failed(self.sight.view, name)
        log.warning("canary failed", view=self.sight.view, step=name, seen=message)

    def state(self, before: CanaryState | None) -> CanaryState:
        """At the end of the round; `before`: that of the round before."""
        success = before.last_success_ms if before else None
        if self.failed_step is None:
            self._metrics.succeeded(self.sight.view)
            success = time.time_ns() // 1_000_000
        return CanaryState(
            view=self.sight.view,
            last_success_ms=success,
            steps=self._steps,
            failed_step=self.failed_step,
            message=self._message,
        )


async def _until(look: Look, deadline: float) -> str | None:
    seen: str | None = "no answer"
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            while True:
                seen = await _asked(look)
                if seen is None:
                    return None
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return seen


async def _asked(look: Look) -> str | None:
    try:
        return await look()
    except Exception as error:  # whatever is wrong with the view is what the canary is for
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
