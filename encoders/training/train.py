"""From photos to a bundle: what `freshline train` does."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from encoders.backbones import image_tower
from encoders.bundle import Bundle
from encoders.export import VARIANTS, export_bundle
from encoders.runtime import available_cores
from encoders.towers import TextTower
from encoders.training import words
from encoders.training.fitting import Epoch, Fitting, Report, Towers
from encoders.training.lessons import Lessons
from encoders.training.memory import keep_freed_memory
from encoders.training.photos import Photo
from encoders.training.recipe import Recipe
from encoders.training.validation import Validation
from encoders.training.views import decoded
from schemas.bundles import Resize, Variant

CHECKPOINT = "checkpoint.pt"
LOG = "training.json"
_PROVEN_ON = 256


@dataclass(frozen=True)
class Plan:
    """What to train.

    Args:
        photos: to learn from; every product has a catalogue photo and one more (see `with_catalogue`).
        backbone: as `image_tower` names them.
        recipe: how.
        name: of the bundle.
        queries: street photos to validate with after each epoch; none of `photos`.
        catalogue: what they are asked of, by default the catalogue photos of `photos`.
        dimension: floats in a vector.
        size: height and width of the input in pixels, by default the backbone's.
        variants: of the bundle.
        pretrained: begin with the backbone's weights from its hub, instead of random ones.
    """

    photos: Sequence[Photo]
    backbone: str = "freshline/tower"
    recipe: Recipe = field(default_factory=Recipe)
    name: str = "trained"
    queries: Sequence[Photo] = ()
    catalogue: Sequence[Photo] = ()
    dimension: int = 256
    size: int | None = None
    pretrained: bool = True
    variants: Sequence[Variant] = VARIANTS


@dataclass(frozen=True)
class Trained:
    """A bundle, and how its training went."""

    bundle: Bundle
    epochs: list[Epoch]


def train(
    plan: Plan, out: Path, *, device: str = "cpu", helpers: int = 0, resume: bool = False, report: Report | None = None
) -> Trained:
    """Train, then export and prove; titles, where there are any, make a text tower in the same space.

    Args:
        plan: equal plans give equal weights on the same machine.
        out: folder of the bundle, of `training.json`, and of `checkpoint.pt`, written after each epoch.
        device: `cpu` or `cuda`.
        helpers: processes that vary pictures beside the training.
        resume: go on from the checkpoint.
        report: told after each batch and epoch.

    Raises:
        BackboneError: no such backbone, or a checkpoint that is none.
        DeviceError: PyTorch sees no GPU.
        ResumeError: the checkpoint is of another plan.
        TableError: a photo that is no picture, or a query for a product without a catalogue photo.
        ParityError: the exported model is not the trained one.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(available_cores())  # PyTorch doesn't see a container's quota
    keep_freed_memory()
    torch.manual_seed(plan.recipe.seed)
    image = image_tower(plan.backbone, dimension=plan.dimension, size=plan.size, pretrained=plan.pretrained)
    text, tokenizer = _words(plan, image.dimension)
    fitting = Fitting(
        Towers(image, text),
        Lessons(plan.photos, plan.recipe, size=image.size, resize=image.resize, tokenizer=tokenizer, helpers=helpers),
        products=len({photo.product for photo in plan.photos}),
        recipe=plan.recipe,
        validation=_validation(plan, image.size, image.resize),
        device=device,
    )
    if resume:
        fitting.resume(out / CHECKPOINT)
    towers = fitting.run(out / CHECKPOINT, report)
    log = {"backbone": plan.backbone, "recipe": asdict(plan.recipe), "epochs": [asdict(e) for e in fitting.epochs]}
    (out / LOG).write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    return Trained(_export(plan, out, towers, tokenizer, len(fitting.epochs)), fitting.epochs)


def _words(plan: Plan, dimension: int) -> tuple[TextTower | None, Tokenizer | None]:
    titles = sorted({photo.title for photo in plan.photos if photo.title})
    if not titles or not plan.recipe.words:
        return None, None
    tokenizer = words.train_tokenizer(titles)
    pad_id = tokenizer.token_to_id(words.PAD) or 0
    return words.TextTower(tokenizer.get_vocab_size(), dimension, pad_id=pad_id), tokenizer


def _validation(plan: Plan, size: int, resize: Resize) -> Validation | None:
    if not plan.queries:
        return None
    catalogue = plan.catalogue or [photo for photo in plan.photos if photo.kind == "catalogue"]
    return Validation(plan.queries, catalogue, size=size, resize=resize)


def _export(plan: Plan, out: Path, towers: Towers, tokenizer: Tokenizer | None, epochs: int) -> Bundle:
    some = np.linspace(0, len(plan.photos) - 1, min(len(plan.photos), _PROVEN_ON)).astype(int)
    return export_bundle(
        out,
        name=plan.name,
        revision=f"{plan.recipe.seed}.{epochs}",
        image=towers.image,
        text=towers.text,
        tokenizer=tokenizer,
        variants=plan.variants,
        images=list(decoded([plan.photos[i] for i in some], size=towers.image.size, resize=towers.image.resize)),
    )
