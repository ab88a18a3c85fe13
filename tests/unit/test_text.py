"""Words become vectors in the pictures' space, by the bundle's own tokenizer."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.bundle import BundleError, load_bundle
from encoders.runtime import EncoderError
from encoders.session import ImageEncoder
from encoders.text import TextEncoder, read_tokenizer, tokens_of
from tests.bundles import tiny_bundle, tiny_words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny", text=tiny_words()).folder


def test_words_find_pictures(folder: Path) -> None:
    bundle = load_bundle(folder)
    pictures = np.zeros((3, 8, 8, 3), np.uint8)
    for colour in range(3):
        pictures[colour, ..., colour] = 200

    words = TextEncoder(bundle).encode(["blue", "a RED thing", "green"])

    assert (words @ ImageEncoder(bundle).encode(pictures).T).argmax(axis=1).tolist() == [2, 0, 1]
    assert np.allclose(np.linalg.norm(words, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 64, 150])
def test_any_number_of_texts_gives_as_many_vectors(folder: Path, count: int) -> None:
    vectors = TextEncoder(load_bundle(folder)).encode(["red"] * count)

    assert vectors.shape == (count, 3)
    assert vectors.dtype == np.float32


def test_texts_are_padded_and_cut_to_what_the_tower_takes(folder: Path) -> None:
    tokens = tokens_of(read_tokenizer(load_bundle(folder)), ["red", "", "red green blue red green"])

    assert tokens.dtype == np.int64
    assert tokens.tolist() == [[2, 0, 0, 0], [0, 0, 0, 0], [2, 3, 4, 2]]


def test_a_bundle_without_words_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="tiny has no text tower"):
        TextEncoder(tiny_bundle(tmp_path))


@pytest.mark.parametrize("name", ["text.fp32.onnx", "tokenizer.json"])
def test_a_tampered_file_is_refused_with_both_digests(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")

    with pytest.raises(BundleError, match=rf"{name}: has sha256:[0-9a-f]{{64}}, but .* sha256:[0-9a-f]{{64}}"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["text.fp32.onnx", "tokenizer.json"])
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(BundleError, match=rf"{name}: No such file"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"file": "other.onnx"}, "text.file: other.onnx has no digest"),
        ({"tokenizer": "other.json"}, "text.tokenizer: other.json has no digest"),
        ({"tokenizer": "../tokenizer.json"}, "text.tokenizer: "),
        ({"context_length": 0}, "text.context_length: "),
        ({"pad_id": -1}, "text.pad_id: "),
        ({"surprise": 1}, "text.surprise: "),
    ],
)
def test_a_wrong_field_is_refused_by_name(folder: Path, fields: dict[str, Any], named: str) -> None:
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["text"] |= fields
    (folder / "bundle.json").write_text(json.dumps(manifest))

    with pytest.raises(BundleError) as refusal:
        load_bundle(folder)

    assert named in str(refusal.value)


def test_a_wrong_field_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"text\.context_length: "):
        tiny_bundle(tmp_path / "new", text=replace(tiny_words(), context_length=0))

    assert not (tmp_path / "new").exists()


def test_words_do_not_change_the_space(tmp_path: Path) -> None:
    seeing = tiny_bundle(tmp_path / "seeing")
    reading = tiny_bundle(tmp_path / "reading", text=tiny_words())

    assert seeing.manifest.space == reading.manifest.space


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (replace(tiny_words(), tokenizer="{}"), r"tokenizer\.json: no tokenizer"),
        (replace(tiny_words(), model=b"no model"), r"text\.fp32\.onnx"),
        (replace(tiny_words(), context_length=5), r"text\.fp32\.onnx"),
        (tiny_words(scale=math.nan), "expected vectors of norm 1, got nan"),
    ],
)
def test_files_that_do_not_work_are_refused(tmp_path: Path, text: Any, error: str) -> None:
    with pytest.raises((BundleError, EncoderError), match=error):
        TextEncoder(tiny_bundle(tmp_path, text=text))
