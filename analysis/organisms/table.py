"""The organisms there are: how each is trained, and the files that are shipped."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_model

from . import OrganismError, attn_only_2l, paren_balance
from .card import as_json, as_markdown, as_svg, card_of
from .training import Recipe, Trained, train

WEIGHTS = Path(__file__).parent / "weights"
LICENCE = "Apache-2.0"


@dataclasses.dataclass(frozen=True)
class Organism:
    """A model that Loupe trains itself. New weights are another slug."""

    slug: str
    title: str
    data: str
    recipe: Callable[[], Recipe]
    licence: str = LICENCE

    @property
    def folder(self) -> Path:
        """The files that are shipped."""
        return WEIGHTS / self.slug

    @property
    def source(self) -> str:
        return f"trained for Loupe (python -m analysis train {self.slug}) on {self.data}"


ORGANISMS: dict[str, Organism] = {
    organism.slug: organism
    for organism in (
        Organism(
            paren_balance.SLUG,
            title="Classifier of balanced brackets",
            data=f"{paren_balance.STRINGS:,} strings of the task `brackets`, split search",
            recipe=paren_balance.recipe,
        ),
        Organism(
            attn_only_2l.SLUG,
            title="Two layers of attention only",
            data=(
                "State of the Union addresses 1790–2021 without every 20th, and in 11 of 32 rows a segment of 8 to 60 "
                "random tokens, repeated"
            ),
            recipe=attn_only_2l.recipe,
        ),
    )
}


def train_organism(slug: str, folder: Path) -> Path:
    """Train an organism, its checkpoint in `folder`, going on where it was stopped, and write its files: their folder.

    An unknown one is refused with an `OrganismError`, as is a checkpoint of another recipe.
    """
    if slug not in ORGANISMS:
        raise OrganismError(f"Training {slug}: expected one of {', '.join(ORGANISMS)}, got another.")
    recipe = ORGANISMS[slug].recipe()
    trained = train(recipe, folder)
    return write_files(ORGANISMS[slug], recipe, trained, folder / "model")


def write_files(organism: Organism, recipe: Recipe, trained: Trained, folder: Path) -> Path:
    """Config, weights, tokenizer and card, in a folder of their own that is there whole or not at all."""
    aside = folder.with_suffix(".new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    config = trained.model.config.to_diff_dict() | {"architectures": [type(trained.model).__name__]}
    (aside / "config.json").write_text(as_json(config))
    save_model(trained.model, str(aside / "model.safetensors"))
    recipe.tokenizer.save(str(aside / "tokenizer.json"))
    special = {"tokenizer_class": "PreTrainedTokenizerFast", **recipe.special_tokens}
    (aside / "tokenizer_config.json").write_text(as_json(special))
    card = card_of(recipe, trained, {"title": organism.title, "data": organism.data, "licence": organism.licence})
    (aside / "card.json").write_text(as_json(card))
    (aside / "README.md").write_text(as_markdown(card))
    (aside / "loss.svg").write_text(as_svg(card))
    shutil.rmtree(folder, ignore_errors=True)
    return aside.rename(folder)
