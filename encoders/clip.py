"""The two towers of an open_clip model, and its tokenizer in the form that a bundle keeps."""

from __future__ import annotations

import gzip
import re
import string
from collections.abc import Callable
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer, bytes_to_unicode, default_bpe, get_clean_fn
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from torch.nn import functional

from encoders.hubs import BackboneError, fetching, likely
from encoders.towers import Model, TextTower, TrunkTower, Words, projection
from schemas.bundles import Resize

_RESIZE: dict[str, Resize] = {"shortest": "crop", "longest": "pad", "squash": "squash"}
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# What open_clip has ftfy and html mend before it splits words, as far as it comes up in a search.
_QUOTES = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'"}


class _TextTower(TextTower):
    def __init__(self, trunk: nn.Module, head: nn.Module, dimension: int, context_length: int, pad_id: int) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.dimension, self.context_length, self.pad_id = dimension, context_length, pad_id

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.head(self.trunk(tokens)).float(), dim=1)


def clip_model(
    name: str, dimension: int | None = None, size: int | None = None, *, pretrained: bool = True, words: bool = True
) -> Model:
    """Make an open_clip model, in evaluation mode.

    Args:
        name: `<model>[:<pretrained>]`, as `open_clip.list_pretrained()` gives them, or `hf-hub:<repository>`.
        dimension: floats in a vector, by default the model's own.
        size: height and width of the input in pixels, by default the model's own.
        pretrained: fetch the weights that the name asks for; otherwise they are random.
        words: take the text tower too.

    Raises:
        BackboneError: no such model, or no way to its hub.
    """
    on_hub = name.startswith("hf-hub:")
    architecture, tag = (name, "") if on_hub else name.partition(":")[::2]
    if not on_hub and open_clip.get_model_config(architecture) is None:
        raise BackboneError(f"open_clip/{name}: no such model{likely(architecture, open_clip.list_models())}")
    if pretrained and not tag and not on_hub:
        known = open_clip.list_pretrained_tags_by_model(architecture)
        raise BackboneError(f"open_clip/{name}: which weights? {', '.join(known) or 'none are known'}")
    with fetching(f"open_clip/{name}", pretrained=pretrained):
        model = open_clip.create_model(
            architecture,
            pretrained=tag if pretrained else None,
            load_weights=pretrained,
            force_custom_text=True,
            force_image_size=size,
            pretrained_text=False,
        ).eval()
    if not isinstance(model, open_clip.CustomTextCLIP):
        raise BackboneError(f"open_clip/{name}: a {type(model).__name__} has no two plain towers")
    image = _image_tower(model, architecture, dimension)
    reading = _words(model.text, image, architecture) if words else None
    return Model(image, (tag or "hub") if pretrained else "random", reading)


def _image_tower(model: Any, architecture: str, dimension: int | None) -> TrunkTower:
    seen = open_clip.get_model_preprocess_cfg(model)
    side = seen["size"][0] if isinstance(seen["size"], tuple | list) else seen["size"]
    with torch.inference_mode():
        features = int(model.visual(torch.zeros(1, 3, side, side)).shape[1])
    return TrunkTower(
        f"open_clip/{architecture}",
        model.visual,
        mean=seen["mean"],
        std=seen["std"],
        size=side,
        resize=_RESIZE[seen["resize_mode"]],
        head=projection(features, dimension),
        dimension=dimension or features,
    )


def _words(trunk: nn.Module, image: TrunkTower, architecture: str) -> Words:
    """The text tower, with the projection of the image tower, in whose space it is."""
    with fetching(f"open_clip/{architecture}: its tokenizer", pretrained=True):
        own = open_clip.get_tokenizer(architecture)
    tokenizer, pad_id = (clip_tokenizer(), 0) if isinstance(own, SimpleTokenizer) else _hugging_face(own, architecture)
    tower = _TextTower(trunk, image.head, image.dimension, int(own.context_length), pad_id)
    return Words(tower.eval(), tokenizer, lambda texts: own(texts).numpy())


def _hugging_face(own: Any, name: str) -> tuple[Tokenizer, int]:
    """A tokenizer of the package transformers with open_clip's cleaning before it, and its padding."""
    if own.strip_sep_token or own.tokenizer_mode:
        raise BackboneError(f"open_clip/{name}: its tokenizer does what no tokenizer.json can: leave the words out")
    tokenizer = Tokenizer.from_str(own.tokenizer.backend_tokenizer.to_str())
    steps = [cleaning(own.clean_fn), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer, int(own.tokenizer.pad_token_id)


def cleaning(function: Callable[[str], str]) -> normalizers.Normalizer:
    """What one of open_clip's cleaning functions does, but for the mending of broken encodings."""
    steps = [normalizers.NFC(), *_mending()]
    if function is get_clean_fn("canonicalize"):
        steps += [normalizers.Replace("_", " "), normalizers.Replace(Regex(f"[{re.escape(string.punctuation)}]"), "")]
    if function is not get_clean_fn("whitespace"):
        steps.append(normalizers.Lowercase())
    return normalizers.Sequence([*steps, normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])


def _mending() -> list[normalizers.Normalizer]:
    return [normalizers.Replace(wrong, right) for wrong, right in (_QUOTES | _ENTITIES).items()]


def clip_tokenizer() -> Tokenizer:
    """CLIP's byte pairs (the vocabulary comes with open_clip), with its start and end."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as lines:
        merges = [(first, second) for first, second in map(str.split, lines.read().split("\n")[1 : 49152 - 256 - 1])]
    letters = list(bytes_to_unicode().values())
    pieces = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges)]
    start, end = "<start_of_text>", "<end_of_text>"
    vocabulary = {piece: number for number, piece in enumerate([*pieces, start, end])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>", fuse_unk=False))
    tokenizer.normalizer = cleaning(get_clean_fn("lower"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, vocabulary[start]), (end, vocabulary[end])]
    )
    return tokenizer
