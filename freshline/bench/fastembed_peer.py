"""Encodes pictures with fastembed, whenever it is told to: run by the Python of an environment that has it.

    PYTHON fastembed_peer.py MODEL_FOLDER PICTURES.npy VECTORS.npy BATCH

It asks for the plain onnxruntime package, which overwrites the one that we need, so it can't live beside us. The folder
holds `model.onnx`, (n, 3, size, size) to vectors, and `preprocessor_config.json`. Imports nothing of ours.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from fastembed import ImageEmbedding  # type: ignore[import-not-found]
from PIL import Image


def main() -> None:
    """Encode once and save the vectors; then again for each line that comes, answered with its time."""
    folder, pictures, vectors, batch = sys.argv[1:]
    images = [Image.fromarray(pixels) for pixels in np.load(pictures)]
    # Any model of its list that is plain: what is read is in the folder.
    model = ImageEmbedding("Qdrant/resnet50-onnx", specific_model_path=folder, cuda=False)
    np.save(vectors, np.stack(list(model.embed(images, batch_size=int(batch)))))
    _say({name: version(name) for name in ("fastembed", "onnxruntime")})
    for _ in sys.stdin:
        started, used = time.perf_counter(), time.process_time()
        count = sum(1 for _ in model.embed(images, batch_size=int(batch)))
        _say({"wall": time.perf_counter() - started, "cpu": time.process_time() - used, "pictures": count})


def _say(answer: object) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
