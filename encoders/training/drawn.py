"""Draw a catalogue, train a small image tower on it, and write the bundle with its model card.

    python -m encoders.training.drawn --out FOLDER [--seed N] [--steps N] [--minutes M] [--products N]

PyTorch is needed here and nowhere else.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from encoders.bundle import Bundle
from encoders.export import export_bundle
from encoders.session import ImageEncoder, available_cores
from encoders.training.card import card
from encoders.training.catalogue import Catalogue, draw_catalogue, photograph_catalogue
from encoders.training.learning import train
from encoders.training.tower import SIZE, Tower
from schemas.bundles import Resize

RESIZE: Resize = "pad"
# Test products come from seeds that no training run reaches.
_TEST_SEEDS = 10_000_000


@dataclass(frozen=True)
class Plan:
    """What to train: equal plans give the same bundle, where the time is not up first."""

    seed: int = 1
    steps: int = 1200
    minutes: float = 30.0
    products: int = 3000
    views: int = 3
    test_products: int = 1000


@dataclass(frozen=True)
class Result:
    """A trained bundle, and how well it finds the products that it never saw."""

    bundle: Bundle
    steps: int
    recall_at_1: float
    recall_at_10: float


def make(plan: Plan, out: Path) -> Result:
    """Draw, train, export, prove, write and measure.

    Raises:
        ParityError: the exported model is not the trained one.
    """
    cores = available_cores()
    _say(f"drawing {plan.products} products with {plan.views} street photos each")
    first = plan.seed * 100_000
    drawn = draw_catalogue(range(first, first + plan.products), views=plan.views, size=SIZE, processes=cores)
    tower, steps = train(drawn, seed=plan.seed, steps=plan.steps, seconds=plan.minutes * 60, report=_report)
    seeds = range(_TEST_SEEDS, _TEST_SEEDS + plan.test_products)
    unseen = photograph_catalogue(seeds, size=SIZE, resize=RESIZE, processes=cores)
    bundle = export_bundle(
        out,
        name="freshline-drawn",
        revision=f"{plan.seed}.{steps}",
        image=tower,
        images=[*unseen.photos[:250], *unseen.streets[:250, 0]],
        variants=("fp32",),
    )
    ranks = ranks_of_products(ImageEncoder(bundle), unseen)
    result = Result(bundle, steps, float(np.mean(ranks < 1)), float(np.mean(ranks < 10)))
    (out / "MODEL_CARD.md").write_text(_card(plan, result, tower), encoding="utf-8")
    return result


def ranks_of_products(encoder: ImageEncoder, catalogue: Catalogue) -> npt.NDArray[np.int64]:
    """For each product's first street photo, how many products' photos are nearer than its own: int (n,)."""
    photos, streets = encoder.encode(catalogue.photos), encoder.encode(catalogue.streets[:, 0])
    likeness = streets @ photos.T
    ranks: npt.NDArray[np.int64] = np.sum(likeness > np.diag(likeness)[:, None], axis=1)
    return ranks


def _card(plan: Plan, result: Result, tower: Tower) -> str:
    return card(
        result.bundle.manifest,
        command=f"python -m encoders.training.drawn --out FOLDER --seed {plan.seed} --steps {result.steps} "
        f"--products {plan.products}",
        millions=sum(weights.numel() for weights in tower.parameters()) / 1e6,
        seed=plan.seed,
        products=plan.products,
        views=plan.views,
        steps=result.steps,
        test_products=plan.test_products,
        recall_at_1=result.recall_at_1,
        recall_at_10=result.recall_at_10,
    )


def _report(step: int, loss: float) -> None:
    if step % 50 == 0:
        _say(f"step {step}: loss {loss:.3f}")


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m encoders.training.drawn", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle, made if need be")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--steps", type=int, default=Plan.steps, help="batches of 64 pairs")
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="of training, at most")
    parser.add_argument("--products", type=int, default=Plan.products, help="to draw and train on")
    return parser.parse_args()


def main() -> None:
    """Run the command line."""
    given = _arguments()
    plan = Plan(seed=given.seed, steps=given.steps, minutes=given.minutes, products=given.products)
    result = make(plan, given.out)
    _say(
        f"{given.out}: {result.steps} steps; of {plan.test_products} unseen products, a street photo finds its own "
        f"first for {result.recall_at_1:.1%}, among the first ten for {result.recall_at_10:.1%}"
    )


if __name__ == "__main__":
    main()
