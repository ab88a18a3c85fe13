"""A real `freshline monitor`, and what it says."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request

from stream.monitor.state import LaneState, OpsState
from tests.harness import FRESHLINE, Installation, free_port


class MonitorProcess:
    """A real `freshline monitor`, without a canary unless the environment asks for one."""

    def __init__(self, shop: Installation, **env: str) -> None:
        self.port = free_port()
        self.log = shop.folder / f"monitor-{self.port}.log"
        settings = {
            "FRESHLINE_MONITOR_PORT": str(self.port),
            "FRESHLINE_MONITOR_INTERVAL_SECONDS": "0.5",
            "FRESHLINE_CANARY_INTERVAL_SECONDS": "0",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [FRESHLINE, "monitor"], env=os.environ | shop.env | settings | env, stdout=log, stderr=log
            )

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def state(self) -> OpsState:
        return OpsState.model_validate_json(self.get("/ops/state.json")[1])

    def lane(self, name: str = "live") -> LaneState:
        return next(lane for lane in self.state().views[0].lanes if lane.lane == name)

    def pending(self) -> tuple[float, float]:
        """(when, in seconds since 1970; how old the oldest pending event of the live lane was then)."""
        state = self.state()
        lane = next(lane for lane in state.views[0].lanes if lane.lane == "live")
        return state.at_ms / 1000, lane.oldest_pending_seconds


def grew_by_the_clock(earlier: tuple[float, float], later: tuple[float, float]) -> bool:
    """Whether a second made the oldest pending event a second older, two more or less in all."""
    return abs((later[1] - earlier[1]) - (later[0] - earlier[0])) < 2
