"""PyTorch towers become a bundle: converted, proven against the originals on real pictures, and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from encoders import conversion, parity
from encoders.bundle import Bundle, TextFiles, load_bundle, write_bundle
from encoders.parity import ParityError
from encoders.pixels import Pixels
from encoders.text import fit, tokens_of
from encoders.towers import ImageTower, TextTower
from schemas.bundles import Parity, Variant

VARIANTS: tuple[Variant, ...] = ("fp32", "fp16", "int8")
TEXTS = (
    *(f"{colour} {thing}" for colour in ("red", "navy blue", "off-white") for thing in ("shoe", "mugs", "sofa bed")),
    *("", "Women's jacket, size 42", "crème brûlée 12,5 cm", "500 ml / 2-pack", "QXZ-1000", "slip dress " * 60),
)
"""What a text tower is proven on: how shoppers write, nothing, and more than it reads."""


@dataclass(frozen=True)
class _Made:
    variant: Variant
    model: bytes
    parity: Parity


def export_bundle(
    folder: Path,
    *,
    name: str,
    revision: str,
    image: ImageTower,
    text: TextTower | None = None,
    tokenizer: Tokenizer | None = None,
    images: Sequence[Pixels],
    variants: Sequence[Variant] = VARIANTS,
    original_tokens: Callable[[list[str]], npt.NDArray[np.int64]] | None = None,
    report: Callable[[str], None] = lambda step: None,
) -> Bundle:
    """Export, prove and write; what is wrong stops it before anything is written.

    A variant whose worst cosine to the original is under 0.999 does not share the space: it becomes a bundle of its
    own in `folder/<variant>` (`apart` finds those). fp32 is always made.

    Args:
        folder: made if need be.
        name: of the model, as the manifest has it.
        revision: of the model.
        image: the picture tower.
        text: the tower for words in the same space; needs `tokenizer`.
        tokenizer: its length and padding are set from the text tower.
        images: uint8 (size, size, 3) each, as real as can be had: the proof and the ranges of int8 come from them.
        variants: which to make.
        original_tokens: the model's own tokenizer, where `tokenizer` is a translation of it; int64 (n, context_length).
        report: told what begins.

    Raises:
        ValueError: no images, or of another size.
        ConversionError: the model, or a variant of it, can't be brought into ONNX.
        ParityError: fp32 or the text tower does not give the original's vectors.
        BundleError: a field that the manifest does not allow.
    """
    pixels = _stacked(images, image.size)
    made = _variants(image.eval(), pixels, variants, report)
    words = None
    if text is not None and tokenizer is not None:
        report("proving the text tower")
        words = _words(text.eval(), tokenizer, original_tokens)
    alone = [each for each in made if not parity.proven(each.parity, each.variant)]

    def write(where: Path, some: list[_Made]) -> Bundle:
        return write_bundle(
            where,
            name=name,
            revision=revision,
            dimension=image.dimension,
            input_size=image.size,
            resize=image.resize,
            image={each.variant: each.model for each in some},
            parity={each.variant: each.parity for each in some},
            text=words,
        )

    for each in alone:
        write(folder / each.variant, [each])
    return write(folder, [each for each in made if each not in alone])


def apart(bundle: Bundle, variants: Sequence[Variant]) -> list[Bundle]:
    """The bundles of those variants that did not come to share the space of `bundle`."""
    return [load_bundle(bundle.folder / variant) for variant in variants if variant not in bundle.manifest.image]


def _stacked(images: Sequence[Pixels], size: int) -> Pixels:
    if not len(images):
        raise ValueError("images: none; some are needed to prove the export on")
    for picture in images:
        if picture.dtype != np.uint8 or picture.shape != (size, size, 3):
            raise ValueError(f"images: expected uint8 ({size}, {size}, 3), got {picture.dtype} {picture.shape}")
    return np.stack(images)


def _variants(
    tower: ImageTower, pixels: Pixels, wanted: Sequence[Variant], report: Callable[[str], None]
) -> list[_Made]:
    report("exporting")
    truth, views = parity.torch_vectors(tower, pixels), parity.seen_again(pixels)

    def prove(variant: Variant, model: bytes, base: float | None) -> _Made:
        report(f"proving {variant}")
        vectors, again = (parity.onnx_vectors(model, each, half=variant == "fp16") for each in (pixels, views))
        recall = parity.recall_at_1(again, vectors)
        figures = parity.image_parity(vectors, truth)
        change = None if base is None else recall - base
        return _Made(variant, model, figures.model_copy(update={"recall_at_1": recall, "recall_change": change}))

    whole = prove("fp32", conversion.image_onnx(tower), None)
    _hold(whole.parity.min_cosine, "the image tower")
    made = [whole]
    ways: dict[Variant, Callable[[], bytes]] = {
        "fp16": lambda: conversion.half(whole.model),
        "int8": lambda: conversion.eight_bits(whole.model, pixels),
    }
    made += [prove(variant, way(), whole.parity.recall_at_1) for variant, way in ways.items() if variant in wanted]
    return made


def _words(
    tower: TextTower, tokenizer: Tokenizer, original: Callable[[list[str]], npt.NDArray[np.int64]] | None
) -> TextFiles:
    fitted = fit(tokenizer, tower.context_length, tower.pad_id)
    tokens, model = tokens_of(fitted, TEXTS), conversion.text_onnx(tower)
    truth = parity.torch_vectors(tower, tokens if original is None else original(list(TEXTS)))
    figures = parity.text_parity(parity.onnx_vectors(model, tokens), truth)
    _hold(figures.min_cosine, "the text tower")
    return TextFiles(model, fitted.to_str(), tower.context_length, tower.pad_id, figures)


def _hold(cosine: float, what: str) -> None:
    least = parity.LEAST_COSINE["fp32"]
    if cosine < least:
        raise ParityError(f"{what}: cosine {cosine:.6f} to the original, under {least}")
