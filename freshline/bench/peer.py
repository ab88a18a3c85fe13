"""The peer in another environment: started, told to encode, and ended."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from encoders.batcher import Vectors
from encoders.bundle import Bundle
from encoders.pixels import Pixels

Way = Callable[[], tuple[Vectors, float]]
"""Encodes all pictures; their vectors, and the seconds that it took."""

_AS_THEY_ARE = json.dumps({"do_resize": False, "do_center_crop": False, "do_rescale": False, "do_normalize": False})
_SCRIPT = Path(__file__).with_name("fastembed_peer.py")


class PeerError(RuntimeError):
    """The other environment's Python can't run the peer; the message is what it said."""


def _channels_first(model: Path, size: int) -> bytes:
    """The same model for pictures as the peer hands them in: uint8 (n, 3, size, size)."""
    changed = onnx.load(model)
    turn = onnx.helper.make_node("Transpose", ["images"], [changed.graph.input[0].name], perm=[0, 2, 3, 1])
    images = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["n", 3, size, size])
    changed.graph.node.insert(0, turn)
    del changed.graph.input[:]
    changed.graph.input.append(images)
    content: bytes = changed.SerializeToString()
    return content


@contextmanager
def encoding(python: Path, bundle: Bundle, pictures: Sequence[Pixels], batch: int, folder: Path) -> Iterator[Way]:
    """The peer at its best: the graph normalises, as ours does, so that it need not, and no picture is resized.

    Args:
        python: of an environment that has fastembed.
        bundle: whose model it runs.
        pictures: each uint8 (size, size, 3).
        batch: pictures in each.
        folder: of its files.

    Raises:
        PeerError: see there.
    """
    model = _channels_first(bundle.image_path("fp32"), bundle.manifest.input_size)
    (folder / "model.onnx").write_bytes(model)
    (folder / "preprocessor_config.json").write_text(_AS_THEY_ARE)
    np.save(folder / "pictures.npy", np.stack(pictures))
    files = (_SCRIPT, folder, folder / "pictures.npy", folder / "vectors.npy")
    command = [str(python), *map(str, files), str(batch)]
    with _running(command, folder / "peer.log") as ask:
        ask()
        vectors: Vectors = np.load(folder / "vectors.npy")
        yield lambda: (vectors, float(ask("go")["seconds"]))


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
