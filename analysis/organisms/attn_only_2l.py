"""The recipe of `attn-only-2l`: a two-layer model of attention alone in which induction heads form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from analysis.datasets.corpus import pack, read_sotu
from analysis.datasets.repeated import PERIOD, repeated_random

from .attention_only import AttentionOnlyConfig, AttentionOnlyForCausalLM, sinusoids
from .text import BOS, BOS_ID, TextBatches, held_out, train_tokenizer, trained_on
from .training import Recipe

SLUG = "attn-only-2l"
SEED = 0
ROWS, REPEATED_ROWS = 32, 11
# Of each kind of held-out rows.
ROWS_ON_THE_WAY = 32
ROWS_AT_THE_END = 256
# Smaller ones, beside what LayerNorm gives, never let a previous-token head form.
POSITION_STD = 0.5


def recipe() -> Recipe:
    """Trains the tokenizer first."""
    documents = read_sotu()
    tokenizer = train_tokenizer(trained_on(documents))
    batches = TextBatches.of(trained_on(documents), tokenizer, seed=SEED, rows=ROWS, repeated_rows=REPEATED_ROWS)
    text = pack(held_out(documents), tokenizer, bos=BOS_ID)
    repeated = repeated_random(tokenizer, bos=BOS_ID)

    def build() -> PreTrainedModel:
        model = AttentionOnlyForCausalLM(AttentionOnlyConfig(vocab_size=tokenizer.get_vocab_size()))
        positions = model.model.embed_positions.weight
        with torch.no_grad():
            positions.copy_(sinusoids(*positions.shape, std=POSITION_STD))
        return model

    def loss(model: PreTrainedModel, step: int) -> Tensor:
        tokens = batches(step)
        logits = model(tokens).logits[:, :-1]
        return cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def measure(model: PreTrainedModel, *, rows: int) -> dict[str, float]:
        return abilities(
            model, text=np.stack([text[i] for i in range(rows)]), repeated=np.stack([repeated[i] for i in range(rows)])
        )

    return Recipe(
        SLUG,
        seed=SEED,
        steps=4800,
        learning_rate=3e-3,
        warm_up=200,
        weight_decay=0.05,
        checkpoint_every=100,
        # the first one was left when a previous-token head was there and no induction head: it was slow by then
        cosines=((0, 3600), (2800, 4800)),
        build=build,
        loss=loss,
        tokenizer=tokenizer,
        special_tokens={"bos_token": BOS},
        measure=lambda model: measure(model, rows=ROWS_ON_THE_WAY),
        examine=lambda model: measure(model, rows=ROWS_AT_THE_END),
    )


@torch.inference_mode()
def abilities(model: PreTrainedModel, *, text: np.ndarray, repeated: np.ndarray) -> dict[str, float]:
    """What it can do, of rows of text [rows, pos] and of `repeated-random` [rows, 101].

    `previous_token` and `induction_repeated`: the mean attention of the best head of layer 0 and of the last layer, as
    surveys define them. Losses in nats a token: of text, and of each half of repeated rows.
    """
    by_text, text_losses = _read(model, text)
    by_repeated, repeated_losses = _read(model, repeated)
    previous = by_text[0].diagonal(-1, dim1=-2, dim2=-1)[..., 1:].mean((0, 2))
    induction = by_repeated[-1].diagonal(-(PERIOD - 1), dim1=-2, dim2=-1)[..., 2:].mean((0, 2))
    return {
        "previous_token": previous.max().item(),
        "induction_repeated": induction.max().item(),
        "loss_text": text_losses.mean().item(),
        "loss_first_half": repeated_losses[:, :PERIOD].mean().item(),
        "loss_second_half": repeated_losses[:, PERIOD:].mean().item(),
    }


def _read(model: PreTrainedModel, rows: np.ndarray) -> tuple[tuple[Tensor, ...], Tensor]:
    """Each layer's patterns [batch, head, dest, src], and the loss of each token but the first [batch, pos]."""
    tokens = torch.from_numpy(rows.astype(np.int64))
    model.set_attn_implementation("eager")  # the kernel that gives patterns
    out = model(tokens, output_attentions=True)
    model.set_attn_implementation("sdpa")
    losses = cross_entropy(out.logits[:, :-1].mT, tokens[:, 1:], reduction="none")
    return out.attentions, losses
