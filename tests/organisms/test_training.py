"""Training: the same seed gives the same bytes, whether or not it was killed on the way."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from django.conf import settings

from analysis.datasets.corpus import Document, read_sotu
from analysis.datasets.task import Split
from analysis.datasets.tasks.brackets import make_rows
from analysis.organisms import OrganismError, attn_only_2l, paren_balance
from analysis.organisms.table import ORGANISMS, WEIGHTS, write_files
from analysis.organisms.text import SEGMENT, TextBatches, held_out, train_tokenizer, trained_on
from analysis.organisms.training import Recipe, train


@pytest.fixture(autouse=True)
def _little_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("STRINGS", 600), ("STRINGS_ON_THE_WAY", 40), ("STRINGS_AT_THE_END", 40), ("ROWS", 16)):
        monkeypatch.setattr(paren_balance, name, number)
    for name, number in (("ROWS", 2), ("REPEATED_ROWS", 1), ("ROWS_ON_THE_WAY", 2), ("ROWS_AT_THE_END", 2)):
        monkeypatch.setattr(attn_only_2l, name, number)
    monkeypatch.setattr(attn_only_2l, "read_sotu", few_documents)


def few_documents() -> list[Document]:
    return [Document(document.title, document.text[:6000]) for document in read_sotu()[:24]]


def short(recipe: Recipe, *, steps: int = 5) -> Recipe:
    return dataclasses.replace(recipe, steps=steps, checkpoint_every=2, warm_up=2)


def weights_of(recipe: Recipe, folder: Path) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in train(recipe, folder).model.state_dict().items()}


class KilledError(Exception):
    pass


def killed_at(recipe: Recipe, step: int) -> Recipe:
    def loss(model: torch.nn.Module, at: int) -> torch.Tensor:
        if at == step:
            raise KilledError
        return recipe.loss(model, at)  # type: ignore[arg-type]

    return dataclasses.replace(recipe, loss=loss)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [paren_balance.recipe, attn_only_2l.recipe])
def test_a_killed_training_goes_on_to_the_bytes_of_one_that_was_not(make: Callable[[], Recipe], tmp_path: Path) -> None:
    recipe = short(make())
    torch.manual_seed(1)
    whole = train(recipe, tmp_path / "whole")
    torch.manual_seed(2)  # of the process, on which nothing may depend
    with pytest.raises(KilledError):
        train(killed_at(short(make()), 3), tmp_path / "killed")
    resumed = train(short(make()), tmp_path / "killed")
    assert resumed.losses == whole.losses
    assert len(whole.losses) == 5
    assert resumed.abilities == whole.abilities
    assert [row["step"] for row in whole.abilities] == [2, 4, 5]
    organism = ORGANISMS[recipe.slug]
    folders = [
        write_files(organism, recipe, trained, tmp_path / name) for name, trained in (("a", whole), ("b", resumed))
    ]
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    recipe = short(paren_balance.recipe(), steps=1)
    first = weights_of(recipe, tmp_path / "first")
    second = weights_of(dataclasses.replace(recipe, seed=1), tmp_path / "second")
    assert not torch.equal(first["model.embed_tokens.weight"], second["model.embed_tokens.weight"])


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    recipe = short(paren_balance.recipe(), steps=2)
    train(recipe, tmp_path)
    with pytest.raises(OrganismError, match="expected a checkpoint of the recipe as it is, got one of another in "):
        train(dataclasses.replace(recipe, learning_rate=0.5), tmp_path)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    recipe = short(paren_balance.recipe())
    broken = dataclasses.replace(recipe, loss=lambda model, step: torch.tensor(math.nan))
    with pytest.raises(OrganismError, match="expected a finite loss, got nan at step 0"):
        train(broken, tmp_path)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    recipe = dataclasses.replace(paren_balance.recipe(), steps=10, warm_up=2, learning_rate=1.0)
    rates = [recipe.rate(step) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[6] == pytest.approx(0.5)
    assert 0 < rates[9] < 0.1


def test_every_step_of_an_epoch_has_other_strings() -> None:
    steps = [paren_balance.rows_of_step(step, n=64) for step in range(8)]
    assert all(len(rows) == 16 for rows in steps)
    for epoch in (steps[:4], steps[4:]):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(64))
    assert not np.array_equal(steps[0], steps[4])


def test_no_string_that_abilities_are_read_from_was_trained_on() -> None:
    seen, unseen = (make_rows(split, n=3000, seed=0).tokens for split in (Split.SEARCH, Split.CONFIRM))
    assert not {row.tobytes() for row in seen} & {row.tobytes() for row in unseen}


def test_a_batch_has_text_of_addresses_that_are_not_held_out_and_repeated_segments() -> None:
    documents = few_documents()
    out = held_out(documents)
    assert 1 <= len(out) < 3
    assert not {document.title for document in out} & {document.title for document in trained_on(documents)}
    tokenizer = train_tokenizer(trained_on(documents), size=500)
    batches = TextBatches.of(trained_on(documents), tokenizer, seed=0, rows=6, repeated_rows=3)
    tokens = batches(4).numpy()
    assert tokens.shape == (6, 128)
    assert (tokens[:, 0] == 0).all()
    assert np.array_equal(tokens, batches(4).numpy())
    assert not np.array_equal(tokens, batches(5).numpy())
    text = "".join(document.text for document in trained_on(documents))
    for row in tokens[:3]:
        assert tokenizer.decode(row[2:-1].tolist()) in text
    for row in tokens[3:]:
        periods = [n for n in range(SEGMENT[0], SEGMENT[1] + 1) if np.array_equal(row[1 + n :], row[1:-n])]
        assert periods


def test_the_shell_refuses_what_is_no_organism(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "analysis", "train", "gpt2", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "LOUPE_DATA": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=settings.BASE_DIR, env=environment, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip() == "Training gpt2: expected one of paren-balance, attn-only-2l, got another."
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("slug", ORGANISMS)
def test_the_shipped_card_is_of_the_recipe_as_it_is(slug: str) -> None:
    card = json.loads((WEIGHTS / slug / "card.json").read_text())
    assert card["recipe"] == ORGANISMS[slug].recipe().described()
    assert len(card["loss_curve"]["loss"]) == -(-card["recipe"]["steps"] // 50)
    assert card["abilities_while_training"][-1]["step"] == card["recipe"]["steps"]
