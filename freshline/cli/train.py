"""`freshline train`: a bundle from photos of products."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from encoders.training.fitting import Epoch
    from encoders.training.photos import Photo
    from encoders.training.train import Trained

Table = Annotated[Path, typer.Argument(help="CSV of photos: columns image, product; perhaps title, kind.")]


class LossName(StrEnum):
    """What pulls a product's pictures together."""

    COSFACE = "cosface"
    ARCFACE = "arcface"
    MULTI_SIMILARITY = "multi-similarity"
    SUPCON = "supcon"


class PrecisionName(StrEnum):
    """What to compute in."""

    FP32 = "fp32"
    MIXED = "mixed"


class DeviceName(StrEnum):
    """Where to compute."""

    CPU = "cpu"
    CUDA = "cuda"


def train(
    table: Table,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the bundle, made if need be.")],
    catalogue: Annotated[Path | None, typer.Option(help="CSV of the products' own photos, if not in TABLE.")] = None,
    validate: Annotated[Path | None, typer.Option(help="CSV of photos to validate with after each epoch.")] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.5, help="Share of the photos to validate with.", show_default="0.2 without --validate"
        ),
    ] = None,
    fold: Annotated[int, typer.Option(min=0, help="Which such share, for cross-validation.")] = 0,
    backbone: Annotated[
        str, typer.Option(help="timm/NAME, open_clip/NAME[:PRETRAINED], freshline/tower or a checkpoint.pt.")
    ] = "freshline/tower",
    pretrained: Annotated[bool, typer.Option(help="Begin with the weights of the backbone's hub.")] = True,
    name: Annotated[str, typer.Option(help="Of the bundle.")] = "trained",
    dimension: Annotated[int, typer.Option(min=8, help="Floats in a vector.")] = 256,
    size: Annotated[
        int | None, typer.Option(min=16, help="Height and width of the input.", show_default="the backbone's")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Each shows every photo once.")] = 30,
    batch: Annotated[int, typer.Option(min=4, help="Photos learnt from together.")] = 96,
    rate: Annotated[float, typer.Option(min=0, help="The highest learning rate.")] = 2e-3,
    decay: Annotated[float, typer.Option(min=0, help="Of weights.")] = 0.05,
    loss: Annotated[LossName, typer.Option(help="What pulls a product's pictures together.")] = LossName.COSFACE,
    search: Annotated[float, typer.Option(min=0, help="Weight of the loss from photos to the catalogue.")] = 0.5,
    words: Annotated[float, typer.Option(min=0, help="Weight of the loss from titles to pictures.")] = 1.0,
    temperature: Annotated[float, typer.Option(min=0.001, help="Of the contrastive losses.")] = 0.07,
    together: Annotated[int, typer.Option(min=1, help="Street photos of a product in one batch, at most.")] = 5,
    vary: Annotated[float, typer.Option(min=0, max=1, help="How strongly to vary pictures, 1 as phones do.")] = 1.0,
    turn: Annotated[float, typer.Option(min=0, max=180, help="Degrees to turn street photos by, at most.")] = 25.0,
    tint: Annotated[float, typer.Option(min=0, max=0.5, help="How far to move their colours, at most.")] = 0.02,
    small: Annotated[float, typer.Option(min=0.1, max=1, help="Share of SIZE that early epochs see.")] = 5 / 9,
    large: Annotated[float, typer.Option(min=0.1, max=1, help="Share of SIZE that late epochs see.")] = 7 / 9,
    patience: Annotated[int, typer.Option(min=0, help="Stop after so many epochs without a better MRR.")] = 0,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    precision: Annotated[PrecisionName, typer.Option(help="What to compute in.")] = PrecisionName.MIXED,
    device: Annotated[DeviceName, typer.Option(help="Where to compute.")] = DeviceName.CPU,
    helpers: Annotated[int, typer.Option(min=0, help="Processes that vary pictures beside the training.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from OUT/checkpoint.pt.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Learn to find products by photos of them, and by words where the table has titles; the result is a bundle.

    Example: freshline train photos.csv --catalogue products.csv --backbone timm/resnet50 --out bundle
    """
    from encoders.backbones import BackboneError
    from encoders.parity import ParityError
    from encoders.training.fitting import DeviceError, ResumeError
    from encoders.training.photos import TableError
    from encoders.training.recipe import Recipe
    from encoders.training.train import Plan
    from encoders.training.train import train as run

    recipe = Recipe(
        epochs=epochs,
        batch=batch,
        rate=rate,
        decay=decay,
        loss=loss.value,
        search=search,
        words=words,
        temperature=temperature,
        together=together,
        vary=vary,
        turn=turn,
        tint=tint,
        small=small,
        large=large,
        patience=patience,
        seed=seed,
        precision=precision.value,
    )
    try:
        photos, queries, shown = _photos(table, catalogue, validate, hold_out, fold)
        plan = Plan(photos, backbone, recipe, name, queries, shown, dimension, size, pretrained)
        with _bar(epochs) as bar:
            trained = run(plan, out, device=device.value, helpers=helpers, resume=resume, report=bar)
    except (TableError, BackboneError, DeviceError, ParityError, ResumeError) as error:
        raise Failure(str(error)) from error
    except KeyboardInterrupt:
        Console(stderr=True).print(f"stopped; --resume goes on after the last whole epoch in {out}")
        raise typer.Exit(130) from None
    _print(trained, as_json=as_json)


def _photos(
    table: Path, catalogue: Path | None, validate: Path | None, hold_out: float | None, fold: int
) -> tuple[list[Photo], list[Photo], list[Photo]]:
    """What to learn from, what to ask, and of which photos if not of those learnt from."""
    from encoders.training.photos import TableError, read_photos, split, with_catalogue

    shop = read_photos(catalogue, "catalogue") if catalogue else []
    photos = with_catalogue(shop + read_photos(table))
    if validate is not None:
        if hold_out:
            raise Failure("--validate and --hold-out exclude each other")
        asked = read_photos(validate)
        return photos, [p for p in asked if p.kind == "street"], [p for p in asked if p.kind == "catalogue"]
    share = 0.2 if hold_out is None else hold_out
    if fold and (fold + 1) * share > 1 + 1e-9:
        raise Failure(f"--fold {fold}: a share of {share} has no fold of that number")
    kept, held = split(photos, share, fold)
    if share and not held:
        raise TableError(f"{table}: no product has a photo to spare: name others by --validate, or --hold-out 0")
    return kept, held, []


class _Bar:
    """Progress within and over the epochs, and a line for each."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        self._progress, self._epochs = progress, epochs
        self._task = progress.add_task("reading photos", total=epochs)

    def step(self, epoch: int, done: int, total: int, loss: float) -> None:
        what = f"epoch {epoch}/{self._epochs}, loss {loss:.2f}"
        self._progress.update(self._task, completed=epoch - 1 + done / total, description=what)

    def epoch(self, epoch: Epoch) -> None:
        line = f"epoch {epoch.number:>3}  loss {epoch.loss:6.3f}"
        if (score := epoch.score) is not None:
            line += f"  Recall@10 {score.recall_at_10:.3f}  MRR {score.mrr:.3f}"
        self._progress.console.print(line, highlight=False)


@contextmanager
def _bar(epochs: int) -> Iterator[_Bar]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, epochs)


def _print(trained: Trained, *, as_json: bool) -> None:
    manifest, last = trained.bundle.manifest, trained.epochs[-1]
    if as_json:
        fields = {"bundle": str(trained.bundle.folder), "space": manifest.space, "epochs": len(trained.epochs)}
        typer.echo(json.dumps({**fields, "last": asdict(last)}))
        return
    typer.echo(f"{trained.bundle.folder}: {manifest.name} {manifest.revision}, space {manifest.space}")
