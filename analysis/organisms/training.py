"""Train an organism by its recipe: same seed, same weights, whether or not it was killed on the way."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from . import OrganismError


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one organism is trained. A step depends on its number, the seed and the weights alone."""

    slug: str
    seed: int
    steps: int
    learning_rate: float
    warm_up: int  # steps
    weight_decay: float
    checkpoint_every: int  # steps
    build: Callable[[], PreTrainedModel]  # called with torch's generator at `seed`
    loss: Callable[[PreTrainedModel, int], Tensor]  # of a step
    tokenizer: Tokenizer
    special_tokens: dict[str, str]  # as tokenizer_config.json names them
    measure: Callable[[PreTrainedModel], dict[str, float]]  # abilities on a little held-out data, at each checkpoint
    examine: Callable[[PreTrainedModel], dict[str, float]]  # the same on all that is held out, at the end
    # half cosines, each from its first step to where it is 0, or to the next one; none: one over all steps
    cosines: tuple[tuple[int, int], ...] = ()

    def rate(self, step: int) -> float:
        """The learning rate of a step: a straight warm-up, then half a cosine towards 0, or several."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        first, last = max(cosine for cosine in self.cosines or ((0, self.steps),) if cosine[0] <= step)
        first = max(first, self.warm_up)
        return self.learning_rate * (1 + math.cos(math.pi * ((step - first) / max(1, last - first)))) / 2

    def described(self) -> dict[str, Any]:
        """What of it is numbers: a checkpoint of other numbers is not gone on with."""
        numbers = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if isinstance(getattr(self, field.name), int | float | str)
        }
        return numbers | ({"cosines": [list(cosine) for cosine in self.cosines]} if self.cosines else {})


@dataclasses.dataclass
class Trained:
    """Weights, and how they came about."""

    model: PreTrainedModel
    losses: list[float]  # of each step
    abilities: list[dict[str, float]]  # at each checkpoint, with its `step`


def train(recipe: Recipe, folder: Path) -> Trained:
    """Train to the end, from the checkpoint in `folder` if there is one; the bar counts steps.

    A checkpoint of another recipe is refused with an `OrganismError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = recipe.build().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    trained = Trained(model, [], [])
    _resume(recipe, folder, trained, optimizer)
    with tqdm(total=recipe.steps, initial=len(trained.losses), unit="step", desc=recipe.slug) as bar:
        for step in range(len(trained.losses), recipe.steps):
            trained.losses.append(_take_step(recipe, model, optimizer, step=step))
            bar.update()
            if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps:
                trained.abilities.append({"step": step + 1, **recipe.measure(model.eval())})
                model.train()
                _save(recipe, folder, trained, optimizer)
                recent = trained.losses[-recipe.checkpoint_every :]
                figures = {"loss": sum(recent) / len(recent), **trained.abilities[-1]}
                bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()})
    model.eval()
    return trained


def _take_step(recipe: Recipe, model: PreTrainedModel, optimizer: torch.optim.Optimizer, *, step: int) -> float:
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(step)
    loss = recipe.loss(model, step)
    if not torch.isfinite(loss):
        raise OrganismError(f"Training {recipe.slug}: expected a finite loss, got {loss.item()} at step {step}.")
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def _save(recipe: Recipe, folder: Path, trained: Trained, optimizer: torch.optim.Optimizer) -> None:
    state = {
        "recipe": recipe.described(),
        "model": trained.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "losses": trained.losses,
        "abilities": trained.abilities,
    }
    aside = folder / "checkpoint.new"
    torch.save(state, aside)
    aside.rename(folder / "checkpoint.pt")  # whoever kills this leaves the old one or the new one


def _resume(recipe: Recipe, folder: Path, trained: Trained, optimizer: torch.optim.Optimizer) -> None:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return
    state = torch.load(path, weights_only=True)
    if state["recipe"] != recipe.described():
        raise OrganismError(
            f"Training {recipe.slug}: expected a checkpoint of the recipe as it is, got one of another in {folder}; "
            "remove it to begin again."
        )
    trained.model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    trained.losses[:] = state["losses"]
    trained.abilities[:] = state["abilities"]
