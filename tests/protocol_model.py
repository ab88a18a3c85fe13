"""A model of the write protocol: random schedules against a last-writer-wins reference.

    python tests/protocol_model.py SECONDS [FIRST_SEED]

One partition of catalog.events, three products, five images, two views (A serves; B is rebuilt from the earliest
offset; then the alias goes back and forth, and workers learn of it late), the lanes live, retry and replay as separate
workers, crashes, zombies that go on writing, compaction, parked events, forced replays, bulk events that the view which
a worker believes to serve diverts for itself, late and equal versions, duplicates. At rest every point must equal the
event with the highest (version, offset), with the vectors of that event's images and no others. Exits 1 and prints the
smallest case that it saw if not. Rules change here first, then in `indexer/decide.py`, `compose.py` and `writer.py`.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]
Record = dict[str, Any]
Task = dict[str, Any]
Point = dict[str, Any]
Violation = tuple[Any, ...]


class View:
    """A collection, and what its consumer groups have committed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.points: dict[int, Point] = {}
        self.dead_letters: list[tuple[int, str]] = []
        self.committed = {"live": 0, "retry": 0, "replay": 0}


class Worker:
    """A process of one lane; as a zombie it works on, but commits nothing."""

    def __init__(self, lane: str, view: View) -> None:
        self.lane = lane
        self.view = view
        self.position = view.committed[lane]
        self.window: list[Task] = []
        self.zombie = False
        self.serving = "A"
        """As it was when the worker last asked."""


def rank(point: Point) -> tuple[int, int]:
    return point["version"], point["revision"]


def revision(offset: int, encoded: int) -> int:
    """Log order first, then completeness: a partial write never replaces a fuller one of the same event."""
    return offset * 32 + encoded


class Model:
    """A world that is drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.topics: dict[str, list[Record]] = {"live": [], "retry": [], "replay": []}
        self.compacted: set[int] = set()
        self.hosts: dict[str, str] = {}
        self.clock = 0
        self.views: list[View] = []
        self.workers: list[Worker] = []
        self.serving = "A"
        self.start_view("A")

    # --- the world ---

    def start_view(self, name: str) -> None:
        view = View(name)
        self.views.append(view)
        self.workers += [Worker(lane, view) for lane in view.committed]

    def images(self) -> list[str]:
        return sorted(self.random.sample("abcde", self.random.randint(1, 2)))

    def publish(self) -> None:
        self.clock += 1
        log, roll = self.topics["live"], self.random.random()
        product = self.random.randrange(3)
        event: Event = {"product": product, "version": self.clock, "deleted": False, "images": self.images()}
        if log and roll < 0.12:
            event = dict(self.random.choice(log)["event"])
        elif log and roll < 0.2:
            event["version"] = max(1, self.clock - self.random.randrange(1, 6))
        elif roll < 0.35:
            event.update(deleted=True, images=[])
        event["bulk"] = self.random.random() < 0.15
        log.append({"event": event, "offset": len(log), "view": None, "force": False})

    def compact(self) -> None:
        cut = self.random.randrange(len(self.topics["live"]) + 1)
        old = self.topics["live"][:cut]
        newest = {record["event"]["product"]: record["offset"] for record in old}
        self.compacted |= {r["offset"] for r in old if newest[r["event"]["product"]] != r["offset"]}

    def replay(self) -> None:
        left = [record for record in self.topics["live"] if record["offset"] not in self.compacted]
        if left:
            record = self.random.choice(left)
            self.topics["replay"].append(self.again(record, force=self.random.random() < 0.5))

    @staticmethod
    def again(record: Record, view: str | None = None, *, force: bool = False) -> Record:
        return {"event": dict(record["event"], bulk=False), "offset": record["offset"], "view": view, "force": force}

    # --- a worker's stages ---

    def consume(self, worker: Worker) -> None:
        topic = self.topics[worker.lane]
        while worker.lane == "live" and worker.position in self.compacted:
            worker.position += 1
        if worker.position < len(topic) and len(worker.window) < 4:
            worker.window.append(dict(topic[worker.position], at=worker.position, stage="decide"))
            worker.position += 1

    def step(self, worker: Worker) -> None:
        busy = [task for task in worker.window if task["stage"] != "done"]
        if busy:
            task = self.random.choice(busy)
            getattr(self, task["stage"])(worker, task)

    def decide(self, worker: Worker, task: Task) -> None:
        event, view = task["event"], worker.view
        mine, stored = (event["version"], task["offset"]), view.points.get(event["product"])
        held = (stored["version"], stored["revision"] // 32) if stored else None
        task["stage"] = "done"
        if task["view"] not in (None, view.name):
            return
        if event["bulk"] and view.name == worker.serving and worker.lane == "live":
            self.topics["replay"].append(self.again(task, view=view.name))
            return
        if stored and held and held > mine:
            if event["version"] < stored["version"] and task["offset"] > held[1]:
                view.dead_letters.append((task["offset"], "out_of_order"))
            return
        kept = {image: image for image in stored["encoded"] if image in event["images"]} if stored else {}
        wanted = [image for image in event["images"] if task["force"] or image not in kept]
        if held == mine and not wanted:
            return
        task.update(kept=kept, wanted=wanted, failed={}, stage="fetch" if wanted else "write")
        task.update(read=stored["version"] if stored else 0, old=list(stored["encoded"]) if stored else [])

    def fetch(self, _worker: Worker, task: Task) -> None:
        image = task["wanted"].pop()
        state = self.hosts.get(image, "ok")
        if state == "ok":
            task["kept"][image] = image
        else:
            task["failed"][image] = state  # a stored vector of that image, if any, stays in `kept`
        if not task["wanted"]:
            task["stage"] = "write"

    def write(self, worker: Worker, task: Task) -> None:
        event, points = task["event"], worker.view.points
        point: Point = {
            "version": event["version"],
            "revision": revision(task["offset"], len(task["kept"])),
            "deleted": event["deleted"],
            "images": event["images"],
            "encoded": [] if event["deleted"] else sorted(task["kept"].values()) or task["old"],
        }
        stored = points.get(event["product"])
        if event["version"] > task["read"] and not task.get("alone"):
            threshold = self.random.randint(task["read"] + 1, event["version"])  # any that the batch may share
            passes = stored is None or stored["version"] < threshold
        else:
            passes = stored is None or rank(stored) <= rank(point)
        if passes:
            points[event["product"]] = point
        task["alone"] = True
        if rank(points[event["product"]]) >= rank(point):  # the read-back
            task["stage"] = "report"

    def report(self, worker: Worker, task: Task) -> None:
        if "ill" in task["failed"].values():
            self.topics["retry"].append(self.again(task, view=worker.view.name, force=task["force"]))
        if "gone" in task["failed"].values():
            worker.view.dead_letters.append((task["offset"], "image"))
        task["stage"] = "done"

    def settle(self, worker: Worker) -> None:
        while worker.window and worker.window[0]["stage"] == "done":
            worker.window.pop(0)
        if not worker.zombie:
            worker.view.committed[worker.lane] = worker.window[0]["at"] if worker.window else worker.position

    # --- faults ---

    def crash(self, worker: Worker) -> None:
        self.workers.remove(worker)
        if not worker.zombie:
            self.workers.append(Worker(worker.lane, worker.view))

    def replace(self, worker: Worker) -> None:
        if not worker.zombie:
            worker.zombie = True
            self.workers.append(Worker(worker.lane, worker.view))

    # --- a run ---

    def run(self, steps: int) -> list[Violation]:
        for _ in range(steps):
            self.happen()
        self.hosts = {image: "ok" if state == "ill" else state for image, state in self.hosts.items()}
        if len(self.views) == 1:
            self.start_view("B")
        for _ in range(100_000):
            worker = self.random.choice(self.workers)
            self.consume(worker)
            self.step(worker)
            self.settle(worker)
            if all(not w.window and w.position >= len(self.topics[w.lane]) for w in self.workers):
                return list(self.violations())
        return [("it does not come to rest",)]

    def happen(self) -> None:  # a table of what happens how often
        roll, worker = self.random.random(), self.random.choice(self.workers)
        if roll < 0.12:
            self.publish()
        elif roll < 0.15:
            self.hosts[self.random.choice("abcde")] = self.random.choice(["ok", "ill", "ill", "gone"])
        elif roll < 0.16:
            self.compact()
        elif roll < 0.17 and len(self.views) == 1:
            self.start_view("B")
        elif roll < 0.18:
            self.crash(worker)
        elif roll < 0.19:
            self.replace(worker)
        elif roll < 0.205:
            self.replay()
        elif roll < 0.215 and len(self.views) == 2:
            self.serving = "B" if self.serving == "A" else "A"
        elif roll < 0.225:
            worker.serving = self.serving
        else:
            self.random.choice([self.consume, self.settle, self.step, self.step, self.step])(worker)

    def violations(self) -> Iterator[Violation]:
        for view in self.views:
            for product in range(3):
                records = [record for record in self.topics["live"] if record["event"]["product"] == product]
                if records:
                    best = max(records, key=lambda record: (record["event"]["version"], record["offset"]))
                    yield from self.differences(view, product, best)

    def differences(self, view: View, product: int, best: Record) -> Iterator[Violation]:
        event, offset = best["event"], best["offset"]
        if offset in self.compacted:  # a late lower version erased it from the log: reported as out_of_order
            return
        point = view.points.get(product)
        if point is None or (point["version"], point["revision"] // 32) != (event["version"], offset):
            yield view.name, product, "not the newest event", point, best
        elif point["deleted"] != event["deleted"]:
            yield view.name, product, "deleted or resurrected", point, best
        elif (
            not event["deleted"] and (offset, "image") not in view.dead_letters and point["encoded"] != event["images"]
        ):
            yield view.name, product, "not this event's vectors", point, best


def main() -> None:
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    end, count, worst = time.monotonic() + seconds, 0, None
    while time.monotonic() < end:
        model = Model(seed + count)
        for violation in model.run(model.random.choice([60, 120, 240])):
            if worst is None or len(model.topics["live"]) < worst[0]:
                worst = len(model.topics["live"]), seed + count, violation
        count += 1
    print(f"{count} schedules from seed {seed}: {'no violation' if worst is None else worst}")
    sys.exit(worst is not None)


if __name__ == "__main__":
    main()
