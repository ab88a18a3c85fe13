"""However many pictures are encoded, the process stays as large as it was."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator

import psutil
import pytest

from encoders.batcher import Batcher
from encoders.bundle import SHIPPED, load_bundle
from encoders.pixels import decode
from encoders.session import ImageEncoder, available_cores
from encoders.training.drawing import photo, random_product
from encoders.training.unseen import jpeg

PICTURES = int(os.environ.get("FRESHLINE_MEMORY_PICTURES", "4000"))
_KINDS = 64
_SAMPLES = 40


@pytest.mark.timeout(7200)
async def test_memory_is_flat_however_many_pictures_are_encoded() -> None:
    # As in a worker: bursts of any size meet in the batcher, and a batch runs on each core. Most pictures are repeats.
    encoder, cores = ImageEncoder(load_bundle(SHIPPED), threads=1), available_cores()
    files = [jpeg(photo(random_product(seed), 160 + seed)) for seed in range(_KINDS)]
    pictures = [decode(file, size=encoder.size, resize=encoder.resize) for file in files]
    sizes: list[int] = []
    started, done = time.monotonic(), 0
    async with Batcher(encoder.encode, threads=cores, max_wait=0.001) as batcher:
        for count in _bursts(PICTURES):
            pictures[done % _KINDS] = decode(files[done % _KINDS], size=encoder.size, resize=encoder.resize)
            vectors = await asyncio.gather(*(batcher.encode(pictures[(done + i) % _KINDS]) for i in range(count)))
            done += len(vectors)
            if done * _SAMPLES >= PICTURES * (len(sizes) + 1):
                sizes.append(psutil.Process().memory_info().rss)

    seconds = time.monotonic() - started
    settled, last = max(sizes[: _SAMPLES // 10]), sizes[-1]
    print(
        f"\n{done} pictures in {seconds:.0f} s; resident after a tenth {settled / 2**20:.1f} MiB, "
        f"at the end {last / 2**20:.1f} MiB ({last / settled - 1:+.1%}), most {max(sizes) / 2**20:.1f} MiB"
    )
    assert done == PICTURES
    assert max(sizes) < 1.05 * settled


def _bursts(total: int) -> Iterator[int]:
    rng = random.Random(0)
    while total > 0:
        count = min(total, rng.choice((1, 2, 7, 30, 64, 100)))
        yield count
        total -= count
