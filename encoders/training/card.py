"""The model card that goes with a bundle: what it is, how it was made, how good it is."""

from __future__ import annotations

from schemas.bundles import Manifest

_CARD = """# {name}, revision {revision}

A small image tower for trying Freshline out: pictures of {size} x {size} pixels to {dimension} floats, {millions:.2f}
million parameters. It makes the demo and the tests real without a download.

## How it was made

```
{command}
```

That draws {products} products (14 categories, 20 colours, 13 patterns, random proportions) and {views} "street photos"
of each: turned, in perspective, unevenly lit, amid clutter, partly hidden, grainy. A depthwise separable convolution
network then learns, in {steps} batches of 64 pairs, to put a product's photo and its street photos together and other
products apart (symmetrical InfoNCE). No photograph and no other model took part: everything comes from the code in
`encoders/training/` and the seed {seed}. Thread scheduling moves the last bits, so another run gives an equivalent
model, not the same bytes.

## How good it is

{test_products} further products, drawn from other seeds and never trained on, each photographed once in the street,
through JPEG and the same decoding as in production: among all {test_products} catalogue photos, the street photo's own
product is

- first for **{recall_at_1:.1%}** (Recall@1),
- among the first ten for **{recall_at_10:.1%}** (Recall@10).

ONNX Runtime against PyTorch on {images} of these pictures: mean cosine {mean_cosine:.7f}, lowest {min_cosine:.7f}.

## What it is not

It has seen drawings only. Real photos get distinct vectors, so an exact or nearly exact copy is found, but likeness
between different real photos means little. For production, bring a model of your own.

Licence: that of Freshline (Apache-2.0).
"""


def card(manifest: Manifest, *, command: str, millions: float, **figures: float) -> str:
    """Fill in the card, Markdown.

    Args:
        manifest: of the bundle, with the parity of its fp32 variant.
        command: the one that makes it again.
        millions: of parameters.
        figures: seed, products, views, steps, test_products, recall_at_1 and recall_at_10 (shares).
    """
    return _CARD.format(
        name=manifest.name,
        revision=manifest.revision,
        size=manifest.input_size,
        dimension=manifest.dimension,
        command=command,
        millions=millions,
        **manifest.parity["fp32"].model_dump(include={"images", "mean_cosine", "min_cosine"}),
        **figures,
    )
