"""What a training strives for: one product's pictures together, others apart, and titles beside their pictures."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pytorch_metric_learning import losses, miners
from torch import nn
from torch.nn import functional

Loss = Literal["cosface", "arcface", "multi-similarity", "supcon"]


class Objective(nn.Module):
    """A metric loss over all pictures, and a contrastive one from street photos to the catalogue, as in a search.

    Args:
        loss: `cosface` and `arcface` (with three centres each) learn a vector for each product, so they suit up to
            some 10,000 products; `multi-similarity` (with its miner) and `supcon` compare pictures alone.
        products: how many there are.
        dimension: of the vectors.
        search: the weight of the contrastive loss.
        temperature: of the contrastive losses.
    """

    def __init__(self, loss: Loss, *, products: int, dimension: int, search: float, temperature: float = 0.07) -> None:
        super().__init__()
        self._metric = _metric(loss, products, dimension, temperature)
        self._miner = miners.MultiSimilarityMiner() if loss == "multi-similarity" else None
        self._contrast = losses.SupConLoss(temperature)
        self._search, self._temperature = search, temperature

    def forward(self, vectors: torch.Tensor, products: torch.Tensor, street: torch.Tensor) -> torch.Tensor:
        """The loss of pictures (n, dimension), of their products (n,) and whether each is a street photo (n,)."""
        mined = self._miner(vectors, products) if self._miner else None
        loss: torch.Tensor = self._metric(vectors, products, mined)
        if self._search and 0 < int(street.sum()) < len(street):
            shop = {"ref_emb": vectors[~street], "ref_labels": products[~street]}
            loss = loss + self._search * self._contrast(vectors[street], products[street], **shop)
        return loss

    def words(self, pictures: torch.Tensor, titles: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """Symmetric contrastive loss between pictures (n, dimension), each with its title's index (n,), and texts.

        Args:
            pictures: of norm 1.
            titles: which row of `texts` each picture has.
            texts: (m, dimension), each another title.
        """
        rows = torch.arange(len(texts), device=titles.device)
        there = self._contrast(pictures, titles, ref_emb=texts, ref_labels=rows)
        back = self._contrast(texts, rows, ref_emb=pictures, ref_labels=titles)
        both: torch.Tensor = (there + back) / 2
        return both

    def each_word(self, pictures: torch.Tensor, said: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """The loss of finding, by a word alone, all pictures whose titles have it, before all others.

        Args:
            pictures: (n, dimension), of norm 1.
            said: which of them have which word, bool (n, k).
            texts: the words, (k, dimension).
        """
        wanted = said.T.float()
        likeness = texts @ pictures.T / self._temperature
        return functional.cross_entropy(likeness, wanted / wanted.sum(dim=1, keepdim=True))


def _metric(loss: Loss, products: int, dimension: int, temperature: float) -> Any:
    match loss:
        case "cosface":
            return losses.CosFaceLoss(num_classes=products, embedding_size=dimension, margin=0.2, scale=20)
        case "arcface":
            return losses.SubCenterArcFaceLoss(num_classes=products, embedding_size=dimension, margin=17, scale=20)
        case "multi-similarity":
            return losses.MultiSimilarityLoss()
        case "supcon":
            return losses.SupConLoss(temperature)
