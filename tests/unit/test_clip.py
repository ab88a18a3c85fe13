"""open_clip models keep their vectors, and their tokenizer its tokens, on the way to a bundle."""

from __future__ import annotations

import importlib.util
import json
import os
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from encoders.bundle import load_bundle
from encoders.session import ImageEncoder
from encoders.text import TextEncoder, fit, tokens_of

if importlib.util.find_spec("open_clip") is None and "CI" not in os.environ:
    pytest.skip("open_clip is not installed (extra `train`)", allow_module_level=True)

import open_clip
import torch
from open_clip.tokenizer import get_clean_fn
from open_clip.transform import PreprocessCfg, image_transform_v2

from encoders.backbones import BackboneError, image_tower, model
from encoders.clip import _hugging_face, cleaning, clip_tokenizer
from encoders.export import export_bundle
from encoders.parity import cosines

TEXTS = [
    *("red shoe", "Women\u2019s   dress, size 42", "\u201cQuoted\u201d &amp; more", "it's We'LL don't", "1234 567"),
    *("Cr\u00e8me br\u00fbl\u00e9e 12,5 cm", "E\u0301", "\u65e5\u672c\u8a9e \U0001f600", " tab\tnew\nline "),
    *("a_b c-d/e", "", "   ", "x" * 300, "word " * 200),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of open_clip's own kind, small enough to export in seconds."""
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    folder = tmp_path_factory.mktemp("models")
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    (folder / "tiny-for-tests.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return "tiny-for-tests"


def test_our_tokenizer_gives_clips_tokens() -> None:
    shuffled = Path(__file__).read_text().split()
    texts = TEXTS + [" ".join(random.Random(seed).choices(shuffled, k=9)) for seed in range(300)]

    found = tokens_of(fit(clip_tokenizer(), 77, 0), texts)

    wanted = open_clip.tokenize(texts).numpy()
    differing = [text for text, ours, theirs in zip(texts, found, wanted, strict=True) if (ours != theirs).any()]
    assert differing == []


@pytest.mark.parametrize("name", ["lower", "whitespace", "canonicalize"])
def test_texts_are_cleaned_as_open_clip_does(name: str) -> None:
    clean = get_clean_fn(name)

    cleaned = [cleaning(clean).normalize_str(text) for text in TEXTS]

    assert cleaned == [clean(text) for text in TEXTS]


def test_a_tokenizer_of_transformers_is_taken_over_with_its_cleaning_and_padding() -> None:
    # transformers is not installed here: this stands for what open_clip makes of it.
    words = Tokenizer(WordLevel({"[UNK]": 0, "[PAD]": 1, "red": 2, "shoe": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = WhitespaceSplit()
    theirs = SimpleNamespace(backend_tokenizer=words, pad_token_id=1)
    options = {"strip_sep_token": False, "tokenizer_mode": ""}
    own = SimpleNamespace(clean_fn=get_clean_fn("canonicalize"), tokenizer=theirs, **options)

    tokenizer, pad_id = _hugging_face(own, "some")

    assert tokens_of(fit(tokenizer, 4, pad_id), ["Red, SHOE!", "shoe"]).tolist() == [[2, 3, 1, 1], [3, 1, 1, 1]]
    with pytest.raises(BackboneError, match="leave the words out"):
        _hugging_face(SimpleNamespace(**{**vars(own), "strip_sep_token": True}), "some")


def test_what_looks_like_a_control_token_is_only_text() -> None:
    (tokens,) = tokens_of(fit(clip_tokenizer(), 77, 0), ["<end_of_text> shoe"])

    assert list(tokens).count(49407) == 1


def test_both_towers_give_open_clips_vectors(tmp_path: Path, tiny: str) -> None:
    made = model(f"open_clip/{tiny}", pretrained=False)
    assert made.words is not None
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)

    bundle = export_bundle(
        tmp_path,
        name="tiny",
        revision=made.revision,
        image=made.image,
        text=made.words.tower,
        tokenizer=made.words.tokenizer,
        original_tokens=made.words.original_tokens,
        images=list(pixels),
        variants=("fp32", "fp16"),  # fp16 took the process down: see open_session
    )

    original = open_clip.create_model(tiny, force_custom_text=True).eval()
    original.visual.load_state_dict(made.image.trunk.state_dict())  # type: ignore[union-attr]
    original.text.load_state_dict(made.words.tower.trunk.state_dict())  # type: ignore[union-attr]
    prepared = image_transform_v2(PreprocessCfg(**open_clip.get_model_preprocess_cfg(original)), is_train=False)
    with torch.inference_mode():
        seen = original.encode_image(torch.stack([prepared(Image.fromarray(each)) for each in pixels]))
        read = original.encode_text(open_clip.tokenize(TEXTS))
    assert cosines(ImageEncoder(load_bundle(bundle.folder)).encode(pixels), seen.numpy()).min() >= 0.9999
    assert cosines(TextEncoder(load_bundle(bundle.folder)).encode(TEXTS), read.numpy()).min() >= 0.9999
    assert bundle.manifest.text is not None
    assert bundle.manifest.text.parity is not None
    assert bundle.manifest.text.parity.min_cosine >= 0.9999


def test_another_dimension_turns_words_and_pictures_alike(tiny: str) -> None:
    whole = model(f"open_clip/{tiny}", pretrained=False)
    assert whole.words is not None

    small = model(f"open_clip/{tiny}", dimension=8, pretrained=False)

    assert small.words is not None
    assert (small.image.dimension, small.words.tower.dimension) == (8, 8)
    assert small.image.head is small.words.tower.head
    assert image_tower(f"open_clip/{tiny}", size=48, pretrained=False).size == 48
