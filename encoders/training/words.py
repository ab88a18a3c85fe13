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
_SPREAD = 0.05
# Of a title's variations: how often a word is in the other number, and how often one is left out.
_OTHER_NUMBER, _LEFT_OUT = 0.4, 0.2


class TextTower(towers.TextTower):
    """Each subword has a vector, and a text is their sum (as in fastText, Bojanowski et al. 2017).

    So the order of the words can't matter, likeness to a picture is a sum over the words, and what was learnt of "red"
    and of "lamp" holds for a red lamp that was never seen: deeper towers remember titles instead, where they are few.

    Args:
        vocabulary: how many tokens there are; `pad_id` is none of a text's.
        dimension: floats in a vector.
        context_length: tokens that are read of a text.
        pad_id: what fills a shorter text up.
    """

    def __init__(
        self, vocabulary: int, dimension: int, *, context_length: int = CONTEXT_LENGTH, pad_id: int = 0
    ) -> None:
        super().__init__()
        self.context_length, self.dimension, self.pad_id = context_length, dimension, pad_id
        self.embedding = nn.Embedding(vocabulary, dimension, padding_idx=pad_id)
        self.anything = nn.Parameter(torch.empty(dimension))  # what is asked for before a word is said
        nn.init.normal_(self.embedding.weight, std=_SPREAD)
        nn.init.normal_(self.anything, std=_SPREAD)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """int64 (n, context_length) to float32 (n, dimension) of norm 1."""
        there = (tokens != self.pad_id).unsqueeze(2)
        return functional.normalize((self.embedding(tokens) * there).sum(dim=1) + self.anything, dim=1)


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
