"""The two towers of an open_clip model, and its tokenizer in the form that a bundle keeps."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer, bytes_to_unicode, default_bpe
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from torch.nn import functional

from encoders.backbones import BackboneError
from encoders.towers import ImageTower, TextTower, TrunkTower, projection
from schemas.bundles import Resize

_RESIZE: dict[str, Resize] = {"shortest": "crop", "longest": "pad", "squash": "squash"}
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# What open_clip has ftfy and html mend before it splits words, as far as it comes up in a search.
_QUOTES = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'"}


@dataclass(frozen=True)
class Words:
    """A text tower and its tokenizer; `tokens` is open_clip's own, to prove them against."""

    tower: TextTower
    tokenizer: Tokenizer
    tokens: Callable[[list[str]], torch.Tensor]


@dataclass(frozen=True)
class Towers:
    """An open_clip model."""

    image: ImageTower
    text: nn.Module
    head: nn.Module
    name: str
    revision: str

    def words(self) -> Words:
        """The text tower in the space of the image tower.

        Raises:
            BackboneError: its tokenizer can't be had.
        """
        own = _tokenizer(self.name)
        tokenizer, pad_id = (clip_tokenizer(), 0) if isinstance(own, SimpleTokenizer) else _hugging_face(own)
        length = int(own.context_length)
        return Words(_TextTower(self.text, self.head, self.image.dimension, length, pad_id), tokenizer, own)


class _TextTower(TextTower):
    def __init__(self, trunk: nn.Module, head: nn.Module, dimension: int, context_length: int, pad_id: int) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.dimension, self.context_length, self.pad_id = dimension, context_length, pad_id

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.head(self.trunk(tokens)).float(), dim=1)


def clip_towers(name: str, dimension: int | None = None, size: int | None = None, *, pretrained: bool = True) -> Towers:
    """Make an open_clip model, in evaluation mode.

    Args:
        name: `<model>[:<pretrained>]`, as `open_clip.list_pretrained()` gives them, or `hf-hub:<repository>`.
        dimension: floats in a vector, by default the model's own.
        size: height and width of the input in pixels, by default the model's own.
        pretrained: fetch the weights that the name asks for; otherwise they are random.

    Raises:
        BackboneError: no such model, or no way to its hub.
    """
    architecture, tag = (name, "") if name.startswith("hf-hub:") else name.partition(":")[::2]
    if pretrained and not tag and architecture == name and not name.startswith("hf-hub:"):
        raise BackboneError(f"open_clip/{name}: which weights? One of {', '.join(_tags(name)) or 'none is known'}")
    try:
        model = open_clip.create_model(
            architecture,
            pretrained=tag if pretrained else None,
            load_weights=pretrained,
            force_custom_text=True,
            force_image_size=size,
            pretrained_text=False,
        ).eval()
    except Exception as error:  # hubs fail in many ways
        raise BackboneError(f"open_clip/{name}: {error}") from error
    if not isinstance(model, open_clip.CustomTextCLIP):
        raise BackboneError(f"open_clip/{name}: a {type(model).__name__} has no two plain towers")
    return _split(model, architecture, tag or "random", dimension)


def _split(model: Any, architecture: str, revision: str, dimension: int | None) -> Towers:
    seen = open_clip.get_model_preprocess_cfg(model)
    side = seen["size"][0] if isinstance(seen["size"], (tuple, list)) else seen["size"]
    with torch.inference_mode():
        features = int(model.visual(torch.zeros(1, 3, side, side)).shape[1])
    head = projection(features, dimension)
    image = TrunkTower(
        f"open_clip/{architecture}",
        model.visual,
        mean=seen["mean"],
        std=seen["std"],
        size=side,
        resize=_RESIZE[seen["resize_mode"]],
        head=head,
        dimension=dimension or features,
    )
    return Towers(image, model.text, head, architecture, revision)


def _tags(name: str) -> list[str]:
    tags: list[str] = open_clip.list_pretrained_tags_by_model(name)
    return tags


def _tokenizer(name: str) -> Any:
    try:
        return open_clip.get_tokenizer(name)
    except Exception as error:  # hubs fail in many ways, and some tokenizers need the package transformers
        raise BackboneError(f"open_clip/{name}: no tokenizer: {error}") from error


def _hugging_face(own: Any) -> tuple[Tokenizer, int]:
    """A tokenizer of the package transformers; what open_clip does before it becomes its normalizer."""
    tokenizer = Tokenizer.from_str(own.tokenizer.backend_tokenizer.to_str())
    return tokenizer, int(own.tokenizer.pad_token_id)


def clip_tokenizer() -> Tokenizer:
    """CLIP's byte pairs (the vocabulary comes with open_clip), with its start and end."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as lines:
        merges = [(first, second) for first, second in map(str.split, lines.read().split("\n")[1 : 49152 - 256 - 1])]
    letters = list(bytes_to_unicode().values())
    pieces = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges)]
    start, end = "<start_of_text>", "<end_of_text>"
    vocabulary = {piece: number for number, piece in enumerate([*pieces, start, end])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>", fuse_unk=False))
    mended = [normalizers.Replace(wrong, right) for wrong, right in (_QUOTES | _ENTITIES).items()]
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *mended, normalizers.Lowercase()])
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
