"""The recipe of `paren-balance`: the published classifier of brackets, trained anew."""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from analysis.datasets.task import Split, TaskRows
from analysis.datasets.tasks.brackets import END, FAILURES, PAD, START, VOCABULARY, make_rows

from .bracket_classifier import BracketClassifierConfig, BracketForSequenceClassification
from .training import Recipe

SLUG = "paren-balance"
SEED = 0
STRINGS = 100_000
ROWS = 256
# Of the strings that nothing was trained on.
STRINGS_ON_THE_WAY = 4096
STRINGS_AT_THE_END = 20_000


def recipe() -> Recipe:
    """Draws the strings first."""
    strings = make_rows(Split.SEARCH, n=STRINGS, seed=SEED)
    few = make_rows(Split.CONFIRM, n=STRINGS_ON_THE_WAY, seed=SEED)

    def loss(model: PreTrainedModel, step: int) -> Tensor:
        rows = rows_of_step(step, n=STRINGS)
        tokens, mask = torch.from_numpy(strings.tokens[rows]), torch.from_numpy(strings.mask[rows])
        return cross_entropy(model(tokens, mask).logits, torch.from_numpy(strings.labels[rows, 0]))

    return Recipe(
        SLUG,
        seed=SEED,
        steps=4000,
        learning_rate=1e-3,
        warm_up=200,
        weight_decay=0.01,
        checkpoint_every=100,
        build=lambda: BracketForSequenceClassification(BracketClassifierConfig()),
        loss=loss,
        tokenizer=bracket_tokenizer(),
        special_tokens={
            f"{name}_token": VOCABULARY[token] for name, token in (("bos", START), ("pad", PAD), ("eos", END))
        },
        measure=lambda model: abilities(model, few),
        examine=lambda model: abilities(model, make_rows(Split.CONFIRM, n=STRINGS_AT_THE_END, seed=SEED)),
    )


def bracket_tokenizer() -> Tokenizer:
    """One token a bracket; text with anything else cannot be encoded."""
    ids = {token: index for index, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(ids))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([VOCABULARY[token] for token in (START, PAD, END)])
    return tokenizer


def rows_of_step(step: int, *, n: int) -> np.ndarray:
    """The rows of a step, out of `n` that every epoch shuffles anew; what does not fill a batch is left out."""
    epoch, batch = divmod(step, n // ROWS)
    return np.random.default_rng((SEED, epoch)).permutation(n)[batch * ROWS : (batch + 1) * ROWS]


@torch.inference_mode()
def abilities(model: PreTrainedModel, strings: TaskRows) -> dict[str, float]:
    """What it can do, of rows of `brackets`: `accuracy` of all, and of each way to be (un)balanced; `loss` in nats."""
    tokens, mask = torch.from_numpy(strings.tokens), torch.from_numpy(strings.mask)
    labels = torch.from_numpy(strings.labels[:, 0])
    parts = zip(tokens.split(ROWS), mask.split(ROWS), strict=True)
    logits = torch.cat([model(*part).logits for part in parts])
    right = (logits.argmax(-1) == labels).double()
    kinds = torch.from_numpy(strings.classes["failure"])
    by_kind = {
        f"accuracy, {name}": right[kinds == kind].mean().item()
        for kind, name in enumerate(FAILURES)
        if (kinds == kind).any()
    }
    return {"accuracy": right.mean().item(), **by_kind, "loss": cross_entropy(logits, labels).item()}
