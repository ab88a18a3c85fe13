"""Words beside pictures: a tokenizer of one's own titles, and a small tower that reads them in any order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional

from encoders import towers
from encoders.training.english import other_number

PAD, UNKNOWN = "[PAD]", "[UNK]"
CONTEXT_LENGTH = 32
_WIDTH = 192
# Of a title's variations: how often a word is in the other number, and how often one is left out.
_OTHER_NUMBER, _LEFT_OUT = 0.4, 0.2


class TextTower(towers.TextTower):
    """A bag of subwords: their mean and maximum through two layers, so that the order of the words can't matter.

    Args:
        vocabulary: how many tokens there are; `pad_id` is none of a text's.
        dimension: floats in a vector.
        width: of a token's embedding.
        context_length: tokens that are read of a text.
        pad_id: what fills a shorter text up.
    """

    def __init__(
        self,
        vocabulary: int,
        dimension: int,
        *,
        width: int = _WIDTH,
        context_length: int = CONTEXT_LENGTH,
        pad_id: int = 0,
    ) -> None:
        super().__init__()
        self.context_length, self.dimension, self.pad_id = context_length, dimension, pad_id
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=pad_id)
        self.layers = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, dimension)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """int64 (n, context_length) to float32 (n, dimension) of norm 1."""
        there = (tokens != self.pad_id).unsqueeze(2)
        words = self.embedding(tokens) * there
        mean = words.sum(dim=1) / there.sum(dim=1).clamp(min=1)
        most = words.masked_fill(~there, -1e4).amax(dim=1) * there.any(dim=1)
        return functional.normalize(self.layers(torch.cat((mean, most), dim=1)), dim=1)


def train_tokenizer(
    titles: Iterable[str], *, vocabulary: int = 4000, context_length: int = CONTEXT_LENGTH
) -> Tokenizer:
    """Learn subwords (BPE) from titles; case and accents don't count, and each text fills `context_length` tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, UNKNOWN],
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789"),
        show_progress=False,
    )
    tokenizer.train_from_iterator(titles, trainer)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(PAD), pad_token=PAD, length=context_length)
    tokenizer.enable_truncation(context_length)
    return tokenizer


def tokens_of(tokenizer: Tokenizer, texts: Sequence[str]) -> torch.Tensor:
    """int64 (n, context_length), with the tokenizer's own padding and truncation."""
    return torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(list(texts))], dtype=torch.int64)


def typed(title: str, rng: random.Random) -> str:
    """The title as a shopper might type it: words in any order, in the other number, one perhaps left out."""
    words = title.lower().split()
    if len(words) > 2 and rng.random() < _LEFT_OUT:
        words.pop(rng.randrange(len(words)))
    if words and rng.random() < _OTHER_NUMBER:
        place = rng.randrange(len(words))
        words[place] = other_number(words[place])
    rng.shuffle(words)
    return " ".join(words)
