"""The encoder as a worker uses it beside other ways to run the same model, on the same pictures and cores."""

from __future__ import annotations

import asyncio
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from encoders.backbones import image_tower
from encoders.batcher import Batcher, Vectors
from encoders.export import export_bundle
from encoders.pixels import Pixels
from encoders.session import ImageEncoder
from encoders.towers import ImageTower
from encoders.training.drawing import photo, random_product
from freshline.bench.encoder_report import LABELS, OURS, PEERS, EncoderCase
from freshline.bench.meters import Meter, Use
from freshline.bench.peer import PLAIN, USUAL, Way, encoding
from freshline.bench.telling import Say

BATCH = 32
_LEAST_COSINE = 0.999
_LEAST_SECONDS = 1.0
_METER = Meter(own=True)


class WrongVectors(RuntimeError):
    """A way of encoding gives other vectors than ours: it is not the same work that would be compared."""


@dataclass(frozen=True)
class EncoderPlan:
    """What to measure."""

    models: Sequence[str]
    """As in `encoders.backbones`; their weights are random, which costs the same as any others."""
    pictures: int = 128
    rounds: int = 7
    peer: Path | None = None
    """The Python of an environment with fastembed."""
    cores: int = 1

    @property
    def passes(self) -> int:
        """How often all pictures are encoded."""
        return len(self.models) * self.rounds * (len(LABELS) if self.peer else len(LABELS) - len(PEERS))


def machine(cores: int) -> str:
    """What was measured on."""
    return f"{platform.machine()}, {cores} cores, ONNX Runtime {onnxruntime.__version__}, PyTorch {torch.__version__}"


def run(plan: EncoderPlan, folder: Path, say: Say, done: Callable[[], None]) -> list[EncoderCase]:
    """Measure every model; the ways take turns in each round.

    Raises:
        BackboneError: there is no model of such a name.
        PeerError, WrongVectors: see there.
    """
    torch.set_num_threads(plan.cores)
    cases = []
    for number, name in enumerate(plan.models):
        say(f"{name}: exporting")
        place = folder / str(number)
        place.mkdir()
        tower = image_tower(name, pretrained=False)
        drawn = draw(plan.pictures, tower.size)
        bundle = export_bundle(
            place / "bundle", name="bench", revision="1", image=tower, images=drawn, variants=["fp32"]
        )
        encoder = ImageEncoder(bundle, threads=1)
        pictures = _enough(drawn, encoder, plan.cores)
        with _ways(plan, tower, encoder, pictures, place) as ways:
            _check(ways)
            say(f"{name}: encoding")
            cases.append(EncoderCase(name, tower.size, tower.dimension, len(pictures), _uses(plan, ways, done)))
    return cases


def draw(count: int, size: int) -> list[Pixels]:
    """Drawn products, each uint8 (size, size, 3)."""
    return [np.asarray(photo(random_product(seed), size)) for seed in range(count)]


def _enough(drawn: list[Pixels], encoder: ImageEncoder, cores: int) -> list[Pixels]:
    """The pictures as often as fill `_LEAST_SECONDS`: in a shorter round a first or last batch would weigh too much."""
    started = time.perf_counter()
    encoder.encode(np.stack(drawn[:BATCH]))
    each = (time.perf_counter() - started) / BATCH / cores
    return drawn * math.ceil(_LEAST_SECONDS / (each * len(drawn)))


def _uses(plan: EncoderPlan, ways: dict[str, Way], done: Callable[[], None]) -> dict[str, list[Use]]:
    uses: dict[str, list[Use]] = {name: [] for name in ways}
    order = list(ways)
    for turn in range(plan.rounds):
        first = turn % len(order)  # so that none is always before or after the same other one
        for name in order[first:] + order[:first]:
            uses[name].append(ways[name]()[1])
            done()
    return uses


def _check(ways: dict[str, Way]) -> None:
    ours = ways[OURS]()[0]
    for name, way in ways.items():
        least = float(np.min(np.sum(way()[0] * ours, axis=1)))
        if not least >= _LEAST_COSINE:
            raise WrongVectors(f"{name}: cosine {least:.4f} to ours")


@contextmanager
def _ways(
    plan: EncoderPlan, tower: ImageTower, encoder: ImageEncoder, pictures: Sequence[Pixels], folder: Path
) -> Iterator[dict[str, Way]]:
    bundle = encoder.bundle
    session = onnxruntime.InferenceSession(bundle.image_path("fp32"), providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name

    def plain(pixels: Pixels) -> Vectors:
        vectors: Vectors = session.run(None, {feed: pixels})[0]
        return vectors

    ways: dict[str, Way] = {
        OURS: partial(_ours, encoder, pictures, plan.cores),
        "torch": partial(_batched, partial(_eager, tower), pictures, BATCH),
        "onnxruntime_batches": partial(_batched, plain, pictures, BATCH),
        "onnxruntime_one_by_one": partial(_batched, plain, pictures, 1),
    }
    with ExitStack() as stack:
        if plan.peer is not None:
            for name, before in zip(PEERS, (USUAL, PLAIN), strict=True):
                peer = encoding(plan.peer, bundle, pictures, BATCH, folder / name, before=before)
                ways[name] = stack.enter_context(peer)
        yield ways


def _ours(encoder: ImageEncoder, pictures: Sequence[Pixels], cores: int) -> tuple[Vectors, Use]:
    """On the CPU a worker encodes a batch a core at once, each with one thread."""

    async def encode() -> tuple[Vectors, Use]:
        async with Batcher(encoder.encode, max_size=BATCH, threads=cores) as batcher:
            started = _METER.read()
            vectors = await asyncio.gather(*map(batcher.encode, pictures))
            return np.stack(vectors), _METER.read().since(started)

    return asyncio.run(encode())


def _batched(encode: Callable[[Pixels], Vectors], pictures: Sequence[Pixels], batch: int) -> tuple[Vectors, Use]:
    started = _METER.read()
    vectors = [encode(np.stack(pictures[start : start + batch])) for start in range(0, len(pictures), batch)]
    return np.concatenate(vectors), _METER.read().since(started)


def _eager(tower: ImageTower, pixels: Pixels) -> Vectors:
    with torch.inference_mode():
        vectors: Vectors = tower(torch.from_numpy(pixels)).numpy()
    return vectors
