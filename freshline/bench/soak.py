"""A process that encodes on and on, watched for memory that grows: the shipped bundle, as a worker uses it."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np

from encoders.batcher import Batcher
from encoders.bundle import load_bundle
from encoders.session import ImageEncoder
from freshline.bench.meters import resident_bytes
from freshline.bench.report import Memory

_WARM_UP = 0.1
_MOST_AT_ONCE = 384

Sample = tuple[int, int]
"""Pictures so far, and bytes then."""


class SoakEnded(RuntimeError):
    """The process that encodes ended by itself; it has said why."""


def soak(bundle: Path, pictures: int, cores: int, done: Callable[[int], None]) -> Memory:
    """Encode so many pictures in a process of its own, which has loaded nothing else.

    Args:
        bundle: its folder.
        pictures: a tenth of them warms up.
        cores: batches that are encoded at once.
        done: called with the number of pictures so far.

    Raises:
        SoakEnded: see there.
    """
    reading, writing = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=_run, args=(bundle, pictures, cores, writing))
    process.start()
    writing.close()
    samples: list[Sample] = []
    try:
        while not samples or samples[-1][0] < pictures:
            samples.append(reading.recv())
            done(samples[-1][0])
    except EOFError:
        raise SoakEnded(f"the process that encodes ended after {samples[-1][0] if samples else 0:,} pictures") from None
    finally:
        process.terminate()
        process.join()
    return memory_of(samples)


def memory_of(samples: Sequence[Sample]) -> Memory:
    """The median of a tenth after the warm-up, beside that of the last tenth."""
    last = samples[-1][0]
    warm = [size for count, size in samples if _WARM_UP <= count / last <= 2 * _WARM_UP]
    end = [size for count, size in samples if count / last >= 1 - _WARM_UP]
    peak = max(size for _, size in samples)
    return Memory(warm=median(warm or end), end=median(end), peak=peak, events=round(last * (1 - _WARM_UP)))


def _run(bundle: Path, pictures: int, cores: int, report: Connection) -> None:
    encoder = ImageEncoder(load_bundle(bundle), threads=1)
    noise = np.random.default_rng(0).integers(0, 256, (_MOST_AT_ONCE, encoder.size, encoder.size, 3), np.uint8)
    crowds = random.Random(0)  # noqa: S311 (reproducible, no secret)

    async def encode() -> None:
        done = 0
        async with Batcher(encoder.encode, threads=cores) as batcher:
            while done < pictures:
                # Now a few, now many: batches of every size.
                crowd = min(crowds.choice((1, 3, 20, 100, _MOST_AT_ONCE)), pictures - done)
                await asyncio.gather(*map(batcher.encode, noise[:crowd]))
                done += crowd
                report.send((done, resident_bytes(os.getpid())))

    asyncio.run(encode())
