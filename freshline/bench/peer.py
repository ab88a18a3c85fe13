"""The peer in another environment: started, told to encode, and ended."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from encoders.batcher import Vectors
from encoders.bundle import Bundle
from encoders.pixels import Pixels
from freshline.bench.meters import Use

Way = Callable[[], tuple[Vectors, Use]]
"""Encodes all pictures; their vectors, and the time that it took."""

PLAIN: dict[str, Any] = {"do_resize": False, "do_center_crop": False, "do_rescale": False, "do_normalize": False}
"""What fastembed has to do before the model at the least: nothing, since the graph normalises as ours does."""
USUAL = {
    **PLAIN,
    "do_rescale": True,
    "rescale_factor": 1,
    "do_normalize": True,
    "image_mean": [0.0] * 3,
    "image_std": [1.0] * 3,
}
"""What it does for the models of its own list, less the resizing: with these numbers the pictures stay as they are."""

_SCRIPT = Path(__file__).with_name("fastembed_peer.py")


class PeerError(RuntimeError):
    """The other environment's Python can't run the peer; the message is what it said."""


def _channels_first(model: Path, size: int, *, floats: bool) -> bytes:
    """The same model for pictures as the peer hands them in: (n, 3, size, size), uint8 or float32."""
    changed, helper, kinds = onnx.load(model), onnx.helper, onnx.TensorProto
    (pixels,) = (each.name for each in changed.graph.input)
    changed.graph.node.insert(
        0, helper.make_node("Transpose", ["bytes" if floats else "images"], [pixels], perm=[0, 2, 3, 1])
    )
    if floats:
        changed.graph.node.insert(0, helper.make_node("Cast", ["images"], ["bytes"], to=kinds.UINT8))
    kind = kinds.FLOAT if floats else kinds.UINT8
    del changed.graph.input[:]
    changed.graph.input.append(helper.make_tensor_value_info("images", kind, ["n", 3, size, size]))
    content: bytes = changed.SerializeToString()
    return content


@contextmanager
def encoding(
    python: Path, bundle: Bundle, pictures: Sequence[Pixels], batch: int, folder: Path, *, before: Mapping[str, Any]
) -> Iterator[Way]:
    """The peer with the bundle's model, in a process of its own.

    Args:
        python: of an environment that has fastembed.
        bundle: whose model it runs.
        pictures: each uint8 (size, size, 3).
        batch: pictures in each.
        folder: of its files, made for them.
        before: what it does to the pictures first, `PLAIN` or `USUAL`.

    Raises:
        PeerError: see there.
    """
    folder.mkdir()
    floats = bool(before["do_rescale"])
    model = _channels_first(bundle.image_path("fp32"), bundle.manifest.input_size, floats=floats)
    (folder / "model.onnx").write_bytes(model)
    (folder / "preprocessor_config.json").write_text(json.dumps(before))
    np.save(folder / "pictures.npy", np.stack(pictures))
    files = (_SCRIPT, folder, folder / "pictures.npy", folder / "vectors.npy")
    with _running([str(python), *map(str, files), str(batch)], folder / "peer.log") as ask:
        ask()
        vectors: Vectors = np.load(folder / "vectors.npy")

        def encode() -> tuple[Vectors, Use]:
            answer = ask("go")
            return vectors, Use(answer["cpu"], answer["wall"])

        yield encode


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    with log.open("w") as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 (the user's own Python)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        except OSError as error:
            raise PeerError(f"{command[0]}: {error.strerror}") from error
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def ask(what: str = "") -> dict[str, Any]:
        if what:
            stdin.write(f"{what}\n")
            stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise PeerError(f"{command[0]}: {(log.read_text().strip().splitlines() or ['it ended'])[-1]}")
        found: dict[str, Any] = json.loads(answer)
        return found

    try:
        yield ask
    finally:
        process.kill()
        process.wait()
