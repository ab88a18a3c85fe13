"""The loop: epochs, averaged weights, validation, early stopping, and a checkpoint to go on from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from encoders.backbones import read_checkpoint, save_checkpoint
from encoders.pixels import Pixels
from encoders.towers import ImageTower, TextTower
from encoders.training.lessons import Batch, Lessons
from encoders.training.objective import Objective
from encoders.training.recipe import Recipe
from encoders.training.validation import Score, Validation

_ROWS = 128


class ResumeError(ValueError):
    """A checkpoint that another training wrote; the message says what differs."""


class DeviceError(RuntimeError):
    """The device that was asked for can't be had."""


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to; `score` is that of the averaged weights, None without validation."""

    number: int
    loss: float
    score: Score | None = None


class Report(Protocol):
    """Who wants to know how it goes."""

    def step(self, epoch: int, done: int, total: int, loss: float) -> None:
        """A batch of an epoch (from 1) was learnt, `done` of `total`."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch was learnt."""


class Towers(nn.Module):
    """What is learnt."""

    def __init__(self, image: ImageTower, text: TextTower | None = None) -> None:
        super().__init__()
        self.image, self.text = image, text


class Fitting:
    """A training in progress.

    Args:
        towers: to train; changed in place.
        lessons: what to learn from.
        products: how many there are.
        recipe: of the training.
        validation: after each epoch, if any.
        device: `cpu` or `cuda`.

    Raises:
        DeviceError: PyTorch sees no GPU.
    """

    def __init__(
        self,
        towers: Towers,
        lessons: Lessons,
        *,
        products: int,
        recipe: Recipe,
        validation: Validation | None = None,
        device: str = "cpu",
    ) -> None:
        if device != "cpu" and not torch.cuda.is_available():
            raise DeviceError(f"{device}: PyTorch {torch.__version__} sees no GPU here")
        torch.manual_seed(recipe.seed)
        self._recipe, self._lessons, self._validation = recipe, lessons, validation
        self._device, self._type = torch.device(device), _type(recipe, device)
        self._towers = towers.to(self._device).to(memory_format=torch.channels_last)
        self._averaged = AveragedModel(towers, avg_fn=self._average, use_buffers=True).eval()
        self._objective = Objective(
            recipe.loss,
            products=products,
            dimension=towers.image.dimension,
            search=recipe.search,
            temperature=recipe.temperature,
        ).to(self._device)
        self._optimizer = torch.optim.AdamW(_groups(towers, self._objective, recipe.decay), lr=recipe.rate, fused=True)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._type == torch.float16)
        self.epochs: list[Epoch] = []
        self._best: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether all epochs are over, or patience is."""
        recipe, done = self._recipe, len(self.epochs)
        return done >= recipe.epochs or bool(recipe.patience and done - self._best_epoch() >= recipe.patience)

    @property
    def _result(self) -> Towers:
        """The averaged weights, which the optimizer never touches."""
        return cast(Towers, self._averaged.module)

    def run(self, checkpoint: Path, report: Report | None = None) -> Towers:
        """Train to the end, writing the checkpoint after each epoch.

        Returns:
            The averaged weights: the last ones, or where there is patience those of the epoch with the best MRR.
        """
        while not self.ended:
            self._epoch(report)
            self._save(checkpoint)
        if self._best is not None:
            self._result.load_state_dict(self._best)
        return self._result.cpu().eval()

    def resume(self, checkpoint: Path) -> None:
        """Go on after the last whole epoch of a checkpoint.

        Raises:
            BackboneError: the file can't be read, or is no checkpoint.
            ResumeError: it is one of another recipe, or of other products or towers.
        """
        fields = read_checkpoint(checkpoint)
        state, wanted = fields.get("training"), asdict(self._recipe)
        if not isinstance(state, dict):
            raise ResumeError(f"{checkpoint}: holds a tower, but no training to go on with")
        for name, value in state["recipe"].items():
            if wanted.get(name) != value:
                raise ResumeError(f"{checkpoint}: its {name} is {value}, not {wanted.get(name)}")
        try:
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
        except (RuntimeError, ValueError) as error:
            raise ResumeError(f"{checkpoint}: of other products or another tower: {error}") from error
        self._best = state["best"]
        self.epochs = [Epoch(**{**each, "score": each["score"] and Score(**each["score"])}) for each in state["epochs"]]

    def _epoch(self, report: Report | None) -> None:
        number = len(self.epochs)
        torch.manual_seed(self._recipe.seed + number)  # of drop-out: a resumed training is as one never interrupted
        self._towers.train()
        total, batches = self._lessons.epoch(number)
        losses = []
        for done, batch in enumerate(batches, 1):
            for group in self._optimizer.param_groups:
                group["lr"] = self._recipe.rate_at(number + (done - 1) / total)
            losses.append(self._step(batch.to(self._device)))
            if report:
                report.step(number + 1, done, total, losses[-1])
        score = self._validation.score(self._encode) if self._validation else None
        self._end(Epoch(number + 1, float(np.mean(losses)), score))
        if report:
            report.epoch(self.epochs[-1])

    def _step(self, batch: Batch) -> float:
        self._optimizer.zero_grad()
        with torch.autocast(self._device.type, self._type, enabled=self._type is not None):
            vectors = self._towers.image(batch.pixels)
        loss = self._objective(vectors.float(), batch.products, batch.street)
        if self._towers.text is not None and batch.tokens.numel():
            loss = loss + self._recipe.words * self._words(batch, vectors[batch.titled].float(), self._towers.text)
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._averaged.update_parameters(self._towers)
        return float(loss.item())

    def _words(self, batch: Batch, pictures: torch.Tensor, text: TextTower) -> torch.Tensor:
        """The loss of titles, and of their words one by one."""
        with torch.autocast(self._device.type, self._type, enabled=self._type is not None):
            texts, words = text(batch.tokens), text(batch.words)
        whole = self._objective.words(pictures, batch.titles, texts.float())
        return whole + self._objective.each_word(pictures, batch.said, words.float())

    def _end(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        if self._recipe.patience and self._best_epoch() == epoch.number:
            self._best = {name: value.clone() for name, value in self._result.state_dict().items()}

    def _best_epoch(self) -> int:
        """The number of the one with the highest MRR, the first of equals; 0 before any."""
        scored = [epoch for epoch in self.epochs if epoch.score is not None]
        return max(scored, key=lambda epoch: epoch.score.mrr if epoch.score else 0).number if scored else 0

    def _encode(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        chunks = torch.split(torch.from_numpy(pixels), _ROWS)
        with torch.inference_mode(), torch.autocast(self._device.type, self._type, enabled=self._type is not None):
            vectors = [self._result.image(rows.to(self._device)).float().cpu() for rows in chunks]
        return torch.cat(vectors).numpy()

    def _average(self, averaged: torch.Tensor, current: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        """The exponential moving average; it follows quickly at first, when weights are still far from good."""
        if not averaged.is_floating_point():
            return current
        return torch.lerp(averaged, current, 1 - min(self._recipe.average, (1 + int(count)) / (20 + int(count))))

    def _parts(self) -> dict[str, Any]:
        return {
            "towers": self._towers,
            "averaged": self._averaged,
            "objective": self._objective,
            "optimizer": self._optimizer,
            "scaler": self._scaler,
        }

    def _save(self, path: Path) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"recipe": asdict(self._recipe), "epochs": [asdict(epoch) for epoch in self.epochs]}
        state |= {"best": self._best}
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.new")
        save_checkpoint(beside, self._result.image, training=state)
        beside.replace(path)


def _type(recipe: Recipe, device: str) -> torch.dtype | None:
    """What mixed precision computes in; None where it would be slower than float32."""
    if recipe.precision == "fp32":
        return None
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None


def _groups(towers: nn.Module, objective: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels decay; biases, norms and the vectors of products don't."""
    weights = [weight for weight in towers.parameters() if weight.ndim > 1]
    others = [weight for weight in towers.parameters() if weight.ndim < 2] + list(objective.parameters())
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
