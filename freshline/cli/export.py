"""`freshline export`: a PyTorch model becomes a bundle."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from freshline.cli.errors import Failure
from schemas.bundles import Variant

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from encoders.bundle import Bundle
    from encoders.towers import ImageTower, Model

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def export(
    model: Annotated[
        str, typer.Argument(help="timm/NAME, open_clip/NAME:PRETRAINED, freshline/tower, or a checkpoint.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the bundle, made if need be.")],
    images: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of real pictures to prove it on, best your own.")
    ],
    dimension: Annotated[int | None, typer.Option(min=1, help="Floats in a vector; default: the model's.")] = None,
    size: Annotated[int | None, typer.Option(min=8, help="Height and width of the input; default: the same.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights of `freshline train` for MODEL.")] = None,
    variants: Annotated[str, typer.Option(help="Comma separated; fp32 is always made.")] = "fp32,fp16,int8",
    name: Annotated[str | None, typer.Option(help="Of the bundle; default: after MODEL.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Pictures to use, at most.")] = 256,
    words: Annotated[bool, typer.Option(help="Take the text tower too, where there is one.")] = True,
    random: Annotated[bool, typer.Option("--random", help="Random weights: to try it out, without a hub.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export a model to ONNX, prove that it gives the same vectors, and write the bundle.

    Example: freshline export timm/resnet50 --out bundle --images photos
    """
    from encoders import backbones
    from encoders.bundle import BundleError
    from encoders.conversion import ConversionError
    from encoders.export import apart, export_bundle
    from encoders.parity import ParityError

    chosen = _variants(variants)
    logging.getLogger().setLevel(logging.ERROR)  # the libraries warn of what was asked for
    with _progress() as report:
        try:
            report(f"loading {model}")
            made = backbones.model(
                model, dimension=dimension, size=size, checkpoint=checkpoint, pretrained=not random, words=words
            )
            bundle = export_bundle(
                out,
                name=name or _slug(model),
                revision=made.revision,
                image=made.image,
                images=_pictures(images, made.image, limit),
                variants=chosen,
                report=report,
                **_words(made),
            )
            alone = apart(bundle, chosen)
        except (backbones.BackboneError, BundleError, ConversionError, ParityError) as error:
            raise Failure(str(error)) from error
    if as_json:
        typer.echo(json.dumps(_figures(bundle, alone), indent=2))
    else:
        _print(bundle, alone)


def _variants(given: str) -> list[Variant]:
    known: dict[str, Variant] = {"fp32": "fp32", "fp16": "fp16", "int8": "int8"}
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise Failure(f"--variants: {name!r} is none of {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(["fp32", *names])]


def _slug(model: str) -> str:
    stem = Path(model).stem if Path(model).is_file() else model
    return re.sub(r"[^a-z0-9._]+", "-", stem.lower()).strip("-._")[:64]


def _words(made: Model) -> dict[str, Any]:
    if made.words is None:
        return {}
    return {
        "text": made.words.tower,
        "tokenizer": made.words.tokenizer,
        "original_tokens": made.words.original_tokens,
    }


def _pictures(folder: Path, tower: ImageTower, limit: int) -> list[npt.NDArray[np.uint8]]:
    """At most `limit` of a folder's pictures, evenly from all of it; those that can't be read are left out."""
    from encoders.pixels import ImageError, decode

    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _PICTURES)
    pixels, problem = [], "there is none"
    for number in range(min(limit, len(files))):
        file = files[number * len(files) // min(limit, len(files))]
        try:
            pixels.append(decode(file.read_bytes(), size=tower.size, resize=tower.resize))
        except (OSError, ImageError) as error:
            problem = f"{file}: {error}"
    if not pixels:
        raise Failure(f"--images {folder}: no picture that can be read (JPEG, PNG, WebP): {problem}")
    return pixels


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)
        yield lambda step: progress.update(task, description=step)


def _figures(bundle: Bundle, alone: list[Bundle]) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "bundle": str(bundle.folder),
        **manifest.model_dump(include={"name", "revision", "dimension", "input_size", "resize", "space"}),
        "variants": {
            variant: {
                "file": str(each.image_path(variant)),
                "bytes": each.image_path(variant).stat().st_size,
                "space": each.manifest.space,
                **each.manifest.parity[variant].model_dump(),
            }
            for each in (bundle, *alone)
            for variant in each.manifest.image
        },
        "text": manifest.text and manifest.text.model_dump(),
    }


def _print(bundle: Bundle, alone: list[Bundle]) -> None:
    figures, console = _figures(bundle, alone), Console(soft_wrap=True, highlight=False)
    table = Table(title=f"{figures['name']} {figures['revision']}: {bundle.folder}")
    for column in ("variant", "MB", "cosine", "worst", "Recall@1", "change", "space"):
        table.add_column(column, justify="left" if column in {"variant", "space"} else "right", no_wrap=True)
    for variant, found in figures["variants"].items():
        change = "" if found["recall_change"] is None else f"{found['recall_change']:+.3f}"
        cosines = (f"{found['mean_cosine']:.6f}", f"{found['min_cosine']:.6f}")
        table.add_row(
            variant, f"{found['bytes'] / 1e6:.1f}", *cosines, f"{found['recall_at_1']:.3f}", change, found["space"]
        )
    console.print(table)
    for each in alone:
        console.print(
            f"{', '.join(each.manifest.image)} is too far from the original to share its space: {each.folder}"
        )
    if bundle.manifest.text and bundle.manifest.text.parity:
        console.print(f"with a text tower (worst cosine {bundle.manifest.text.parity.min_cosine:.6f})")
