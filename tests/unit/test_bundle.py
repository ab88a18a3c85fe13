"""Bundles are believed only as far as their digests go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from encoders.bundle import SHIPPED, BundleError, load_bundle, write_bundle
from schemas.bundles import Parity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle of two variants whose "models" are a few bytes."""
    write_bundle(
        tmp_path / "small",
        name="small",
        revision="1",
        dimension=4,
        input_size=8,
        resize="pad",
        image={"int8": b"eight bits", "fp32": b"all bits"},
        parity={"int8": Parity(images=3, mean_cosine=0.99, min_cosine=0.98)},
    )
    return tmp_path / "small"


def _change(folder: Path, **fields: Any) -> None:
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**manifest, **fields}))


def test_what_was_written_is_what_is_loaded(folder: Path) -> None:
    bundle = load_bundle(folder)

    assert bundle.manifest.name == "small"
    assert bundle.manifest.dimension == 4
    assert bundle.manifest.parity["int8"].min_cosine == 0.98
    assert bundle.image_path("fp32").read_bytes() == b"all bits"
    assert bundle.image_path("int8").read_bytes() == b"eight bits"


def test_an_absent_variant_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"no variant 'fp16', only int8, fp32"):
        load_bundle(folder).image_path("fp16")


def test_a_tampered_file_is_refused_with_both_digests(folder: Path) -> None:
    (folder / "image.fp32.onnx").write_bytes(b"all bitz")

    with pytest.raises(BundleError, match=r"image\.fp32\.onnx: has sha256:[0-9a-f]{64}, but .* sha256:[0-9a-f]{64}"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "image.fp32.onnx"])
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(BundleError, match=rf"{name}: No such file"):
        load_bundle(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_manifest_that_is_no_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / "bundle.json").write_bytes(content)

    with pytest.raises(BundleError, match=r"bundle\.json: no JSON"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"dimension": 0}, "dimension"),
        ({"dimension": None}, "dimension"),
        ({"resize": "stretch"}, "resize"),
        ({"distance": "dot"}, "distance"),
        ({"space": "XYZ"}, "space"),
        ({"reference": "md5:1"}, "reference"),
        ({"image": {"fp8": "image.fp32.onnx"}}, "image.fp8"),
        ({"image": {}}, "image"),
        ({"image": {"fp32": "other.onnx"}}, "image.fp32: other.onnx has no digest"),
        ({"files": {"../../etc/passwd": "sha256:" + "0" * 64}}, "files"),
        ({"files": {"image.fp32.onnx": "0"}}, "files.image.fp32.onnx"),
        ({"parity": {"fp16": {"images": 1, "mean_cosine": 1, "min_cosine": 1}}}, "parity.fp16"),
        ({"parity": {"fp32": {"images": 1, "mean_cosine": 2, "min_cosine": 1}}}, "parity.fp32.mean_cosine"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_refused_by_name(folder: Path, fields: dict[str, Any], named: str) -> None:
    _change(folder, **fields)

    with pytest.raises(BundleError) as refusal:
        load_bundle(folder)

    assert "bundle.json: " in str(refusal.value)
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    "fields", [{"resize": "crop"}, {"input_size": 16}, {"dimension": 5}, {"revision": "2"}, {"space": "0" * 12}]
)
def test_a_field_that_moves_vectors_cannot_be_changed_unnoticed(folder: Path, fields: dict[str, Any]) -> None:
    _change(folder, **fields)

    with pytest.raises(BundleError, match="space: is"):
        load_bundle(folder)


def test_a_wrong_field_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="name: "):
        write_bundle(
            tmp_path / "new", name="No Good", revision="1", dimension=4, input_size=8, resize="pad", image={"fp32": b""}
        )

    assert not (tmp_path / "new").exists()


def test_variants_share_the_space_of_their_reference(folder: Path, tmp_path: Path) -> None:
    whole = load_bundle(folder).manifest
    fields: dict[str, Any] = {"name": "small", "revision": "1", "dimension": 4, "input_size": 8, "resize": "pad"}

    proven = write_bundle(tmp_path / "proven", image={"int8": b"eight bits"}, reference=whole.reference, **fields)
    alone = write_bundle(tmp_path / "alone", image={"int8": b"eight bits"}, **fields)

    assert load_bundle(proven.folder).manifest.space == whole.space
    assert load_bundle(alone.folder).manifest.space != whole.space


def test_the_shipped_bundle_is_whole_and_small() -> None:
    bundle = load_bundle(SHIPPED)

    assert bundle.manifest.parity["fp32"].min_cosine >= 0.9999
    assert bundle.text.parity is not None
    assert bundle.text.parity.min_cosine >= 0.9999
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 4 * 2**20
