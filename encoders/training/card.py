"""The model card that goes with the shipped bundle: what it is, how it was made, how good it is."""

from __future__ import annotations

from collections.abc import Mapping

from encoders.bundle import Bundle
from encoders.metrics import Estimate, Quality

COMMANDS = """python -m encoders.training.drawn DRAWN --seed 1 --products 9000 --views 1
freshline train DRAWN/catalogue.csv --out BUNDLE --name freshline-drawn --backbone freshline/tower --dimension 128 \\
    --loss supcon --search 1 --words 8 --temperature 0.05 --together 1 --vary 0.3 --small 0.7 --large 1 \\
    --batch 128 --epochs 20 --rate 4e-3 --precision fp32 --hold-out 0 --seed 1
python -m encoders.training.unseen BUNDLE"""
"""What makes the shipped bundle again, from nothing."""

_CARD = """# {name}, revision {revision}

A small dual encoder for trying Freshline out: pictures of {size} x {size} pixels, and words, to {dimension} floats in
one space; {megabytes:.1f} MB in all. It makes the demo, search by words and the tests real without a download.

## How it was made

```
{commands}
```

The first draws products (14 categories, 20 colours, 13 patterns, random proportions) and "street photos" of each:
turned, in perspective, unevenly lit, amid clutter, partly hidden, grainy. Each has a title in the drawn shop's words
("striped teal mug") or, here and there, in others ("teal cup with stripes"). The second teaches a depthwise separable
convolution network to put the pictures of one product together, and a bag of subwords to put a title, in any order and
number, beside its pictures. No photograph and no other model took part: everything comes from the code in
`encoders/training/` and the seeds.

## How good it is

The third draws {queries} further products, never trained on, each photographed by its shop and once in the street,
through JPEG and the same decoding as in production, and looks for each among all {queries} catalogue photos (in
brackets: 95 % of bootstrap samples):

| Asked with | Recall@1 | Recall@10 |
|---|---|---|
{rows}

"Its words" are the shop's (pattern, colour, category) in any order, half of the categories in the plural. Several
products may have the very same description: the strict figure counts only the one that was meant, the second any of
that description.
{parity}
## What it is not

It has seen drawings only. Real photos get distinct vectors, so an exact or nearly exact copy is found, but likeness
between different real photos means little, and it knows no words but those of the drawn catalogue. For production,
bring a model of your own.

Licence: that of Freshline (Apache-2.0).
"""
_ASKED_WITH = {
    "street": "a street photo of it",
    "words": "its words (strict)",
    "description": "its words, any product so described",
    "other": "other names for some of them (strict)",
}


def card(bundle: Bundle, found: Mapping[str, Quality]) -> str:
    """Fill in the card, Markdown.

    Args:
        bundle: the one that was measured.
        found: what `unseen.measure` came to.
    """
    manifest = bundle.manifest
    return _CARD.format(
        name=manifest.name,
        revision=manifest.revision,
        size=manifest.input_size,
        dimension=manifest.dimension,
        megabytes=sum((bundle.folder / name).stat().st_size for name in manifest.files) / 1e6,
        commands=COMMANDS,
        queries=next(iter(found.values())).queries,
        rows="\n".join(_row(_ASKED_WITH[name], figures) for name, figures in found.items()),
        parity="".join(f"\nONNX Runtime against PyTorch, {line}.\n" for line in _parities(bundle)),
    )


def shown(estimate: Estimate) -> str:
    """A share and its interval: "95.9 % (94.6-97.1)"."""
    return f"{estimate.value:.1%} ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def _row(name: str, figures: Quality) -> str:
    return f"| {name} | {shown(figures.recall_at_1)} | {shown(figures.recall_at_10)} |"


def _parities(bundle: Bundle) -> list[str]:
    found = [
        f"{variant} on {each.images} pictures: mean cosine {each.mean_cosine:.7f}, lowest {each.min_cosine:.7f}"
        for variant, each in bundle.manifest.parity.items()
    ]
    if bundle.manifest.text and (text := bundle.manifest.text.parity):
        found.append(f"words, {text.texts} texts: mean cosine {text.mean_cosine:.7f}, lowest {text.min_cosine:.7f}")
    return found
